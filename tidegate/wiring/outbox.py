"""The relay of a process, and the connections that look at an outbox."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from prometheus_client import CollectorRegistry

from infra.clients.kafka import aiokafka_options
from infra.clients.postgres import require_dsn, tls_context
from infra.errors import MisuseError, UnavailableError
from infra.settings import Settings
from outbox.idempotent import IdempotentPublisher
from outbox.metrics import RelayMetrics
from outbox.options import Profile, RelayOptions, Source
from outbox.probe import Probe
from outbox.publisher import AnyPublisher
from outbox.relay import Relay
from outbox.transactional import TransactionalPublisher

DATABASES = ("services", "upstream")
"""The databases that have an outbox, by the name that commands, logs and metrics use."""


def sources_of(settings: Settings, names: Sequence[str] = ()) -> list[Source]:
    """The databases called ``names``; all that have an address when none is named."""
    for name in names:
        if name not in DATABASES:
            raise MisuseError(f"no database is called {name}: it is one of {', '.join(DATABASES)}")
    configured = {"services": settings.postgres.dsn, "upstream": settings.postgres.upstream_dsn}
    wanted = list(names) or [name for name in DATABASES if configured[name] is not None] or ["services"]
    return [
        Source(name, require_dsn(settings.postgres, upstream=name == "upstream"), _tls(settings))
        for name in wanted
    ]


def build_relay(
    settings: Settings,
    *,
    names: Sequence[str] = (),
    options: RelayOptions | None = None,
    registry: CollectorRegistry | None = None,
) -> Relay:
    """A relay of the outboxes in the databases called ``names``, or of all; not started."""
    chosen = options or RelayOptions(profile=Profile(settings.relay.profile))
    brokers = aiokafka_options(settings.kafka)
    return Relay(
        sources_of(settings, names),
        lambda: publisher_of(chosen.profile, brokers, chosen),
        options=chosen,
        metrics=RelayMetrics(registry or CollectorRegistry()),
    )


def publisher_of(
    profile: Profile, brokers: dict[str, Any], options: RelayOptions, *, probe: Probe | None = None
) -> AnyPublisher:
    """What publishes in ``profile``; not started."""
    if profile is Profile.TRANSACTIONAL:
        return TransactionalPublisher(brokers, options, probe=probe)
    return IdempotentPublisher(brokers, options, probe=probe)


@asynccontextmanager
async def outbox_connection(source: Source) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to the database of ``source``; :class:`UnavailableError` when it does not answer."""
    try:
        connection = await asyncpg.connect(source.dsn, ssl=source.tls, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise UnavailableError(f"PostgreSQL of {source.name} does not answer: {error}") from error
    try:
        yield connection
    except (asyncpg.UndefinedTableError, asyncpg.InvalidSchemaNameError) as error:
        raise MisuseError(f"the database of {source.name} has no outbox: run `tidegate migrate`") from error
    finally:
        await connection.close()


def _tls(settings: Settings) -> ssl.SSLContext | None:
    return tls_context(settings.postgres) if settings.postgres.sslrootcert else None
