"""Connections to PostgreSQL."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import asyncpg

from infra.errors import MisuseError
from infra.settings import PostgresSettings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine


def require_dsn(settings: PostgresSettings, *, upstream: bool = False) -> str:
    """The address of the database; :class:`MisuseError` where none was given and no stack runs."""
    secret = settings.upstream_dsn if upstream else settings.dsn
    if secret is None:
        name = "TIDEGATE_POSTGRES__UPSTREAM_DSN" if upstream else "TIDEGATE_POSTGRES__DSN"
        raise MisuseError(f"no PostgreSQL address: set {name}, or start the local stack with `tidegate up`")
    return secret.get_secret_value()


def create_engine(settings: PostgresSettings, *, upstream: bool = False) -> AsyncEngine:
    """A SQLAlchemy engine on asyncpg with at most ``settings.pool_size`` connections."""
    from sqlalchemy import make_url  # here: the relay and the bridge live without it, and start sooner
    from sqlalchemy.ext.asyncio import create_async_engine

    url = make_url(require_dsn(settings, upstream=upstream)).set(drivername="postgresql+asyncpg")
    return create_async_engine(
        url,
        pool_size=settings.pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # or an error would carry a row's values into logs and histories
        connect_args={"ssl": tls_context(settings)} if settings.sslrootcert else {},
    )


async def create_pool(settings: PostgresSettings, *, upstream: bool = False) -> asyncpg.Pool:
    """An asyncpg pool with at most ``settings.pool_size`` connections."""
    return await asyncpg.create_pool(
        require_dsn(settings, upstream=upstream),
        min_size=1,
        max_size=settings.pool_size,
        ssl=tls_context(settings) if settings.sslrootcert else None,
    )


def tls_context(settings: PostgresSettings) -> ssl.SSLContext:
    """TLS that verifies the server against ``sslrootcert`` and shows our certificate if there is one."""
    context = ssl.create_default_context(cafile=str(settings.sslrootcert) if settings.sslrootcert else None)
    if settings.sslcert:
        context.load_cert_chain(str(settings.sslcert), str(settings.sslkey) if settings.sslkey else None)
    return context
