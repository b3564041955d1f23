"""Events whose workflow does not exist yet: kept in PostgreSQL, in order, with a deadline.

While an event waits for a workflow, later signals to the same workflow queue behind it; starts pass. The set
of workflows that are waited for is kept in memory, because every signal asks: it is read again at each look
and after each assignment of partitions, and what this process parks is in it before the parking returns.
Source: design §6.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from consumers.bridge.database import bridge_database
from consumers.bridge.delivery import Outcome
from consumers.bridge.ledger import LedgerEntry, Origin, append
from consumers.runtime.record import ConsumedRecord
from infra.queries import load

SQL: Final = load(__file__, "parking.sql")
_SLOWEST_LOOK: Final = 30.0
_LOOKS: Final = 20
"""Workflows that are looked at each time however long they have been waited for: few cost nothing."""


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that waits for ``workflow_id``, as it was read. ``expired``: it is past its deadline."""

    id: int
    event_id: UUID
    event_type: str
    route: str
    workflow_id: str
    record: ConsumedRecord
    origin: Origin
    expired: bool

    @classmethod
    def of(cls, row: Any) -> Parked:
        """The record in a row of the parked table."""
        return cls(
            id=row["id"],
            event_id=row["event_id"],
            event_type=row["event_type"],
            route=row["route"],
            workflow_id=row["workflow_id"],
            record=ConsumedRecord(
                topic=row["topic"],
                partition=row["partition"],
                offset=row["offset"],
                key=row["key"],
                value=row["value"],
                headers=tuple(zip(row["header_names"], row["header_values"], strict=True)),
                timestamp_ms=row["timestamp_ms"],
            ),
            origin=row["origin"],
            expired=row["expired"],
        )


@dataclass(slots=True)
class _Waiting:
    since: datetime
    expired: bool
    next_look: float = 0.0


class Parking:
    """The parked events of the bridge, as one process sees them."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._waiting: dict[str, _Waiting] = {}
        self._parked_since_read: set[str] = set()
        self._stale = True
        self._reading = asyncio.Lock()

    async def holds(self, workflow_id: str) -> bool:
        """Whether an event waits for this workflow, so that a signal to it must queue.

        Raises :class:`~consumers.errors.DownstreamUnavailableError` where that cannot be known.
        """
        if self._stale:
            await self.refresh()
        return workflow_id in self._waiting

    async def park(self, entry: LedgerEntry, record: ConsumedRecord, patience: timedelta) -> None:
        """Keep ``record`` until its workflow appears, at most for ``patience``; durable when this returns.

        ``entry`` (outcome ``parked``) is written with it. An event that waits on this route already is left
        as it is.
        """
        workflow_id = entry.workflow_id
        if workflow_id is None or entry.outcome is not Outcome.PARKED:
            raise ValueError("only an event that has a workflow to wait for can be parked")
        with bridge_database():
            async with self._pool.acquire() as connection, connection.transaction():
                added = await connection.fetchval(
                    SQL["park"],
                    *(entry.event_id, entry.event_type, entry.route, workflow_id),
                    *(record.topic, record.partition, record.offset, record.timestamp_ms),
                    *(record.key, record.value),
                    [name for name, _ in record.headers],
                    [value for _, value in record.headers],
                    *(entry.origin, patience),
                )
                if added is not None:
                    await append(connection, [entry])
        # After the insert, too: a look may meanwhile have emptied the queue and taken the workflow out of the
        # set; the key's next event must still queue behind this one.
        self._parked_since_read.add(workflow_id)
        self._waiting.setdefault(workflow_id, _Waiting(datetime.now(UTC), expired=False))

    def mark_stale(self) -> None:
        """Other processes may have parked for what this one reads from now on: read the set first."""
        self._stale = True

    async def refresh(self) -> None:
        """Read the set of workflows that are waited for."""
        async with self._reading:
            self._parked_since_read.clear()
            with bridge_database():
                rows = await self._pool.fetch(SQL["waiting"])
            found = {row["workflow_id"]: _Waiting(row["since"], row["expired"]) for row in rows}
            for workflow_id, waiting in found.items():
                if workflow_id in self._waiting:
                    waiting.next_look = self._waiting[workflow_id].next_look
            for workflow_id in self._parked_since_read:
                found.setdefault(workflow_id, _Waiting(datetime.now(UTC), expired=False))
            self._waiting = found
            self._stale = False

    def due(self, now: float) -> list[str]:
        """The workflows to look at now (``now`` on the loop's clock): those past a deadline, then the others by when
        their look is due; while they are few, all of them."""
        queue = sorted(self._waiting.items(), key=lambda item: (not item[1].expired, item[1].next_look))
        return [
            name
            for number, (name, each) in enumerate(queue)
            if number < _LOOKS or each.expired or each.next_look <= now
        ]

    @property
    def awaited(self) -> int:
        """How many workflows are waited for."""
        return len(self._waiting)

    def has_expired(self, workflow_id: str) -> bool:
        """Whether an event that waits for this workflow was past its deadline at the last look."""
        waiting = self._waiting.get(workflow_id)
        return waiting is not None and waiting.expired

    def postpone(self, workflow_id: str, now: float) -> None:
        """The workflow is not there yet: its next look is due later, the longer it is waited for; where many are waited
        for, those that came last have the better chance."""
        waiting = self._waiting.get(workflow_id)
        if waiting is not None:
            age = (datetime.now(UTC) - waiting.since).total_seconds()
            waiting.next_look = now + min(_SLOWEST_LOOK, age / 60.0)

    async def count(self) -> int:
        """How many events wait, of all processes."""
        with bridge_database():
            return int(await self._pool.fetchval(SQL["count"]))
