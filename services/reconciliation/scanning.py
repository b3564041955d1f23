"""Finding candidates: one named query for each kind (``scans.sql``), in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncSession

from infra.queries import load
from services.reconciliation.kinds import GRACE, Kind

_SQL: Final = load(__file__, "scans.sql")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be stuck: what it is, since when (UTC), and the facts that decide what is done."""

    kind: Kind
    subject: str
    since: datetime
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as the outbox keeps it: framed and encoded, with what goes into its headers."""

    event_id: UUID
    type: str
    topic: str
    key: str
    source: str
    time: datetime
    value: bytes
    extensions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record of the ledger is in Kafka."""

    event_id: UUID
    topic: str
    partition: int
    offset: int


async def find(
    session: AsyncSession,
    kind: Kind,
    *,
    after: str = "",
    limit: int = 1,
    only: str | None = None,
    grace: timedelta | None = None,
) -> list[Candidate]:
    """At most ``limit`` candidates of ``kind`` whose subjects come after ``after``, in their order; or one again."""
    query = text(_SQL[kind.value]).bindparams(bindparam("only", type_=Text))
    rows = await session.execute(
        query,
        {"grace": GRACE[kind] if grace is None else grace, "after": after, "batch": limit, "only": only},
    )
    return [Candidate(kind, row["subject"], row["since"], row["facts"]) for row in rows.mappings()]


async def stored_event(session: AsyncSession, type_: str, key: str, since: datetime) -> StoredEvent | None:
    """The newest published event of ``type_`` about ``key``, not older than an hour before ``since``."""
    found = await session.execute(text(_SQL["stored_event"]), {"type": type_, "key": key, "since": since})
    row = found.mappings().one_or_none()
    return StoredEvent(**row) if row else None


async def deliveries(session: AsyncSession, workflow_id: str) -> list[Place]:
    """The records that the ledger says ``workflow_id`` was told of by signal, in that order."""
    rows = await session.execute(text(_SQL["deliveries"]), {"workflow_id": workflow_id})
    return [Place(**row) for row in rows.mappings()]


async def newest_event(session: AsyncSession) -> int:
    """The number of the newest row of the outbox."""
    return int((await session.execute(text(_SQL["newest_event"]))).scalar_one())
