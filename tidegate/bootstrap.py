"""Where a process gets what it is made of.

The parts of each room are wired in ``tidegate/wiring/<room>.py``; here stands what concerns all of them:
bringing databases, topics and schemas to the state that the processes expect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final

import consumers.analytics
import consumers.bridge
import consumers.replay
import outbox
import services.carts
import services.checkouts
import services.ims
import services.oms
import services.payments
import services.reconciliation
import services.returns
import services.sms
import services.upstream
import services.upstream.provider
import services.wms
from infra.clients.postgres import libpq_options, require_dsn
from infra.local import EVERYTHING, Component
from infra.migrations import MigrationRoom, migrate
from infra.secrets import Secret
from infra.settings import Settings
from infra.topics import apply_topics
from schemas.registry import Registry

MAIN_ROOMS: Sequence[MigrationRoom] = (
    outbox.MIGRATIONS,
    services.oms.MIGRATIONS,
    services.ims.MIGRATIONS,
    services.wms.MIGRATIONS,
    services.sms.MIGRATIONS,
    services.payments.MIGRATIONS,
    services.checkouts.MIGRATIONS,
    services.carts.MIGRATIONS,
    services.returns.MIGRATIONS,
    services.reconciliation.MIGRATIONS,
    consumers.bridge.MIGRATIONS,
    consumers.replay.MIGRATIONS,
    consumers.analytics.MIGRATIONS,
)
"""What the services' database holds."""

UPSTREAM_ROOMS: Sequence[MigrationRoom] = (
    outbox.MIGRATIONS,
    services.upstream.MIGRATIONS,
    services.upstream.provider.MIGRATIONS,
)
"""What the database of the simulated upstream systems holds."""


async def migrate_databases(settings: Settings) -> dict[str, list[str]]:
    """Bring both databases to the newest revision; the schemas of each, by database."""
    main = require_dsn(settings.postgres)
    upstream = require_dsn(settings.postgres, upstream=True)
    options = libpq_options(settings.postgres)
    await asyncio.gather(
        asyncio.to_thread(migrate, main, MAIN_ROOMS, options),
        asyncio.to_thread(migrate, upstream, UPSTREAM_ROOMS, options),
    )
    return {
        "services": [room.schema for room in MAIN_ROOMS],
        "upstream": [room.schema for room in UPSTREAM_ROOMS],
    }


async def prepare(settings: Settings, components: Collection[Component] = EVERYTHING) -> None:
    """Make databases, topics and schema subjects what the processes expect. Safe to repeat.

    ``components`` are the servers to prepare, each of which needs no other for it.
    """
    await asyncio.gather(
        *(_PREPARATIONS[component](settings) for component in components if component in _PREPARATIONS)
    )


async def _apply_topics(settings: Settings) -> None:
    await apply_topics(settings.kafka)


async def _register_schemas(settings: Settings) -> None:
    async with Registry(settings.registry) as registry:
        await registry.register_all()


_PREPARATIONS: Final[Mapping[Component, Callable[[Settings], Awaitable[Any]]]] = {
    Component.POSTGRES: migrate_databases,
    Component.KAFKA: _apply_topics,
    Component.REGISTRY: _register_schemas,
}


def with_known_ids(settings: Settings) -> Settings:
    """``settings`` for what follows :func:`prepare`: nobody asks the registry for the ids that it has just given."""
    registry = settings.registry.model_copy(update={"prefer_cache": True})
    return settings.model_copy(update={"registry": registry})


def process_environment(settings: Settings) -> Mapping[str, str]:
    """The settings of this process as environment variables, for its children."""
    values: dict[str, str] = {"TIDEGATE_HOME": str(settings.home.resolve())}
    for group in ("postgres", "kafka", "registry", "temporal", "payments", "secrets", "retention"):
        for name, value in getattr(settings, group):
            if value is None:
                continue
            # A secret is handed on as it was given: where it stands, if that is what the setting says.
            text = value.reference if isinstance(value, Secret) else str(value)
            values[f"TIDEGATE_{group}__{name}".upper()] = text
    values["TIDEGATE_LOG_LEVEL"] = settings.log_level
    values["TIDEGATE_LOG_JSON"] = str(settings.log_json).lower()
    return values
