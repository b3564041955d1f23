"""What the commands about parked events are made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from consumers.bridge.delivery import Existence
from consumers.bridge.ledger import Ledger
from consumers.bridge.parking import Parked
from consumers.bridge.temporal import TemporalGateway
from consumers.replay.audit import AuditTrail
from consumers.replay.contents import payload_of
from consumers.replay.letters import headers_of
from consumers.replay.parked import ParkedDesk, Queue, Waiting
from infra.clients import postgres, temporal
from infra.errors import UnavailableError
from infra.settings import Settings
from schemas.codec import Codec
from schemas.lookup import SchemaLookup
from tidegate.wiring.bridge import Bridge, open_bridge
from tidegate.wiring.schemas import open_schemas


@dataclass(frozen=True, slots=True)
class Showing:
    """What it takes to show one parked event."""

    desk: ParkedDesk
    temporal: TemporalGateway
    codec: Codec
    lookup: SchemaLookup

    async def describe(self, parked: Parked, place: Waiting) -> dict[str, Any]:
        """The event on one of its routes: what it is, why it waits, and what it says."""
        existence, text = await self.temporal.look(parked.workflow_id)
        return {
            **place.describe(),
            "expired": parked.expired,
            "workflow": existence.value,
            "why": _why(place, existence, text),
            "headers": headers_of(parked.record),
            **await payload_of(parked.record, self.codec, self.lookup),
        }


@dataclass(frozen=True, slots=True)
class Releasing:
    """What it takes to deliver parked events, or to say what that would do."""

    desk: ParkedDesk
    bridge: Bridge

    async def would(self, queue: Queue) -> dict[str, Any]:
        """What releasing ``queue`` would do, as JSON values."""
        existence, text = await self.bridge.temporal.look(queue.workflow_id)
        match existence:
            case Existence.RUNNING:
                would = "deliver, in their order"
            case Existence.CLOSED:
                would = "settle as late, as each route says"
            case Existence.MISSING if queue.expired:
                would = "make those past their deadline dead letters; the workflow is not there"
            case Existence.MISSING:
                would = "leave them waiting: the workflow is not there"
            case Existence.UNKNOWN:
                would = f"nothing: Temporal does not say whether the workflow is there ({text})"
        return {
            "workflow_id": queue.workflow_id,
            "workflow": existence.value,
            "selected": queue.selected,
            "ahead": queue.ahead,
            "would": would,
        }


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[ParkedDesk]:
    """The parked table and the audit trail. Raises MisuseError where tables are missing, UnavailableError."""
    try:
        pool = await postgres.create_pool(settings.postgres)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise UnavailableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
    async with pool:
        trail = AuditTrail(pool)
        await Ledger(pool).check()
        await trail.check()
        yield ParkedDesk(pool, trail)


@asynccontextmanager
async def open_showing(settings: Settings) -> AsyncIterator[Showing]:
    """The same, with schemas and Temporal. Raises as :func:`open_desk`."""
    async with AsyncExitStack() as opened:
        desk = await opened.enter_async_context(open_desk(settings))
        schemas = await open_schemas(settings)
        opened.push_async_callback(schemas.close)
        client = await temporal.connect(settings.temporal, identity="tidegate-parked")
        yield Showing(desk, TemporalGateway(client), schemas.codec, schemas.lookup)


@asynccontextmanager
async def open_releasing(settings: Settings) -> AsyncIterator[Releasing]:
    """The same, with a bridge. Raises as :func:`open_desk`."""
    async with (
        open_desk(settings) as desk,
        open_bridge(settings, identity="tidegate-parked") as bridge,
    ):
        yield Releasing(desk, bridge)


def _why(place: Waiting, existence: Existence, text: str) -> str:
    if place.ahead:
        return f"{place.ahead} events wait before it for the same workflow"
    match existence:
        case Existence.MISSING:
            return "its workflow does not exist yet"
        case Existence.UNKNOWN:
            return f"Temporal does not say whether its workflow exists: {text}"
        case Existence.RUNNING | Existence.CLOSED:
            return "it is the next: a bridge that runs takes it within seconds"
