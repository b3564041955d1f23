"""The services on a database of their own, and what they published, for the tests of the services."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

import outbox
from infra.ids import order_id_of
from infra.migrations import MigrationRoom
from outbox import Outbox
from schemas.codec import Codec
from schemas.event import Event
from schemas.ids import SchemaIds
from services import carts, ims, oms, returns, sms, wms
from services.label_carrier import Label, LabelCarrier
from services.oms import OrderLine, OrderSubmission
from tests.template_databases import migrate_empty

SERVICE_ROOMS = (
    outbox.MIGRATIONS,
    oms.MIGRATIONS,
    ims.MIGRATIONS,
    wms.MIGRATIONS,
    sms.MIGRATIONS,
    carts.MIGRATIONS,
    returns.MIGRATIONS,
)


@dataclass(frozen=True, slots=True)
class Published:
    """One row of the outbox with its event decoded."""

    event: Event
    source: str
    subject: str
    sequence: int
    event_id: str
    correlation_id: str | None
    extensions: dict[str, str]

    @property
    def name(self) -> str:
        """The event's short name."""
        return type(self.event).__name__


class Database:
    """A migrated database with sessions, an outbox, and a look at what was published."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.engine = engine
        self.sessions = async_sessionmaker(engine, class_=AsyncSession)
        self.codec = Codec(SchemaIds.local())
        self.outbox = Outbox(self.codec)

    async def published(self, *, source: str | None = None, subject: str | None = None) -> list[Published]:
        """What was published, in the order of the outbox, of one source or about one subject where given."""
        query = """SELECT value, source, subject, sequence, event_id, correlation_id, extensions
                   FROM outbox.events ORDER BY id"""
        async with self.engine.connect() as connection:
            rows = (await connection.execute(text(query))).mappings().all()
        return [
            Published(
                event=self.codec.decode(row["value"]),
                source=row["source"],
                subject=row["subject"],
                sequence=row["sequence"],
                event_id=str(row["event_id"]),
                correlation_id=row["correlation_id"],
                extensions=dict(row["extensions"]),
            )
            for row in rows
            if source in (None, row["source"]) and subject in (None, row["subject"])
        ]

    async def names(self, *, source: str | None = None, subject: str | None = None) -> list[str]:
        """Short names of what was published."""
        return [one.name for one in await self.published(source=source, subject=subject)]

    async def value(self, query: str) -> object:
        """The first column of the first row of ``query``."""
        async with self.engine.connect() as connection:
            return (await connection.execute(text(query))).scalar()


@asynccontextmanager
async def migrated(
    dsn: str, rooms: Sequence[MigrationRoom], *, connections: int = 8
) -> AsyncIterator[Database]:
    """The empty database at ``dsn`` with the tables of ``rooms``."""
    await migrate_empty(dsn, rooms)
    engine = create_async_engine(
        make_url(dsn).set(drivername="postgresql+asyncpg"), pool_size=connections, max_overflow=0
    )
    try:
        yield Database(engine)
    finally:
        await engine.dispose()


def submission(request_id: str = "r-1", *, lines: Sequence[OrderLine] | None = None) -> OrderSubmission:
    """A valid submission."""
    return OrderSubmission(
        order_id=order_id_of(request_id),
        request_id=request_id,
        customer_id="c-1",
        currency="EUR",
        ordered_at=datetime(2026, 11, 1, 12, 0, tzinfo=UTC),
        lines=tuple(lines) if lines is not None else (OrderLine("A", 2, Decimal("9.99"), Decimal("0.15")),),
    )


class PlainCarrier(LabelCarrier):
    """Gives every shipment its label, and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def label(self, shipment_id: str, attempt: int) -> Label:
        self.asked += 1
        return Label("test-carrier", f"T-{shipment_id}")
