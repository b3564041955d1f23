"""Connections to PostgreSQL."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

from infra.errors import MisuseError, UnavailableError
from infra.settings import PostgresSettings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_PATIENCE = 10.0


def require_dsn(settings: PostgresSettings, *, upstream: bool = False) -> str:
    """The address of the database; :class:`MisuseError` where none was given and no stack runs, or it is no address."""
    secret = settings.upstream_dsn if upstream else settings.dsn
    name = "TIDEGATE_POSTGRES__UPSTREAM_DSN" if upstream else "TIDEGATE_POSTGRES__DSN"
    if secret is None:
        raise MisuseError(f"no PostgreSQL address: set {name}, or start the local stack with `tidegate up`")
    dsn = secret.get_secret_value()
    if not dsn.startswith(("postgresql://", "postgres://")):  # and it is not shown: it may hold a password
        raise MisuseError(f"{name} is no address of a database, as postgresql://user@host:5432/name")
    return dsn


@asynccontextmanager
async def open_connection(
    settings: PostgresSettings, *, upstream: bool = False
) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One connection for who looks at a database once; it ends with the block.

    Raises :class:`UnavailableError` where the database does not answer, and :class:`MisuseError` where it lacks the
    tables that the block asks for.
    """
    name = "upstream" if upstream else "services"
    dsn = require_dsn(settings, upstream=upstream)
    try:
        connection = await asyncpg.connect(
            dsn, ssl=tls_context(settings) if settings.sslrootcert else None, timeout=_PATIENCE
        )
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise UnavailableError(f"PostgreSQL ({name}) does not answer: {error}") from error
    try:
        yield connection
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise MisuseError(f"the {name} database has no tables yet: run `tidegate migrate`") from error
    finally:
        await connection.close()


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


def libpq_options(settings: PostgresSettings) -> Mapping[str, str]:
    """What :func:`tls_context` says, in the words of libpq, for clients that are built on it; empty without TLS."""
    if settings.sslrootcert is None:
        return {}
    named = {"sslrootcert": settings.sslrootcert, "sslcert": settings.sslcert, "sslkey": settings.sslkey}
    return {"sslmode": "verify-full", **{name: str(path) for name, path in named.items() if path}}
