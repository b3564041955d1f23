"""What people do about events that wait for their workflow: look, try now, give up, give more time.

Whatever is done leaves a row in the audit trail. The order of a workflow's queue is kept: an event is never delivered
past one that waits before it. One that is given up is taken out of the queue, and those behind it move up.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

import asyncpg

from consumers.bridge.delivery import Outcome
from consumers.bridge.ledger import LedgerEntry, Origin, append, key_text
from consumers.bridge.parking import Parked
from consumers.replay.audit import AuditTrail, RunRequest, Tally
from consumers.replay.errors import NoSuchRecordError
from consumers.replay.resend import Pace
from consumers.replay.runs import Progress, RunReport
from consumers.replay.selection import moment_text
from infra import queries

if TYPE_CHECKING:
    from consumers.bridge.unparking import (
        Unparker,
    )  # brings Temporal's client, which most of this needs nothing of

_SQL: Final = queries.load(__file__, "parked.sql")
_NOTED_EVERY: Final = 100
_Item = TypeVar("_Item")

GONE: Final = "gone"
"""What came of an event that was delivered or dropped by somebody else in the meantime."""
WAITING: Final = "waiting"
"""What came of an event that must go on waiting."""
EXTENDED: Final = "extended"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedFilter:
    """Which parked events; what is empty or ``None`` fits all. A type is a full name or its last part."""

    events: frozenset[UUID] = frozenset()
    workflows: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    routes: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    parked_before: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it fits everything."""
        return self == ParkedFilter()

    def describe(self) -> dict[str, Any]:
        """What was asked for, as JSON values, without what was not."""
        given: dict[str, Any] = {
            "events": sorted(map(str, self.events)),
            "workflows": sorted(self.workflows),
            "types": sorted(self.types),
            "routes": sorted(self.routes),
            "keys": sorted(self.keys),
            "parked_before": moment_text(self.parked_before),
        }
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits; ``ahead`` and ``behind`` count those that wait for the same workflow."""

    id: int
    event_id: UUID
    event_type: str
    route: str
    workflow_id: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    origin: Origin
    parked_at: datetime
    deadline: datetime
    expired: bool
    ahead: int
    behind: int

    def describe(self) -> dict[str, Any]:
        """One line of a list, as JSON values."""
        return {
            "event": self.event_type.rpartition(".")[2],
            "event_id": self.event_id,
            "route": self.route,
            "workflow_id": self.workflow_id,
            "record": f"{self.topic}[{self.partition}]@{self.offset}",
            "key": key_text(self.key),
            "parked_at": self.parked_at.isoformat(timespec="seconds"),
            "deadline": self.deadline.isoformat(timespec="seconds"),
            "ahead": self.ahead,
            "behind": self.behind,
        }


class ParkedDesk:
    """Reads and changes the parked table. Raises what asyncpg raises."""

    def __init__(self, pool: asyncpg.Pool, trail: AuditTrail) -> None:
        self._pool = pool
        self._trail = trail

    async def find(self, wanted: ParkedFilter, limit: int | None = None) -> list[Waiting]:
        """The events that fit, oldest first, at most ``limit`` of them."""
        rows = await self._pool.fetch(
            _SQL["selected"],
            *map(list, (wanted.events, wanted.workflows, wanted.types, wanted.routes)),
            [key.encode() for key in wanted.keys],
            wanted.parked_before,
            limit,
        )
        return [Waiting(**row) for row in rows]

    async def whole(self, event_id: UUID) -> list[Parked]:
        """One event, on each route that it waits on; :class:`NoSuchRecordError` where it waits on none."""
        rows = await self._pool.fetch(_SQL["whole"], event_id)
        if not rows:
            raise NoSuchRecordError(f"no event {event_id} is parked: `tidegate parked list` shows what is")
        return [Parked.of(row) for row in rows]

    async def drop(
        self, request: RunRequest, events: Sequence[Waiting], stop: asyncio.Event, progress: Progress
    ) -> RunReport:
        """Give up ``events``: the ledger says ``discarded``, in the transaction that takes each out of its queue."""
        return await self._each(request, events, stop, progress, self._drop)

    async def extend(
        self,
        request: RunRequest,
        events: Sequence[Waiting],
        by: timedelta,
        stop: asyncio.Event,
        progress: Progress,
    ) -> RunReport:
        """Move the deadlines of ``events``, which count from now where they have passed."""

        async def extended(event: Waiting) -> list[str]:
            found = await self._pool.fetchval(_SQL["extend"], event.id, by)
            return [EXTENDED if found is not None else GONE]

        return await self._each(request, events, stop, progress, extended)

    async def release(
        self,
        request: RunRequest,
        queues: Sequence[Queue],
        unparker: Unparker,
        stop: asyncio.Event,
        progress: Progress,
    ) -> RunReport:
        """Try now to deliver the events of ``queues``, and those that wait before them."""

        async def released(queue: Queue) -> list[str]:
            outcomes = await unparker.release(queue.workflow_id, queue.through)
            left = max(0, queue.selected + queue.ahead - len(outcomes))
            return [*(outcome.value for outcome in outcomes), *[WAITING] * left]

        return await self._each(request, queues, stop, progress, released)

    async def _drop(self, event: Waiting) -> list[str]:
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_SQL["claim"], event.workflow_id)
            if await connection.fetchval(_SQL["remove"], event.id) is None:
                return [GONE]
            await append(connection, [_discarded(event)])
        return [Outcome.DISCARDED.value]

    async def _each(
        self,
        request: RunRequest,
        items: Iterable[_Item],
        stop: asyncio.Event,
        progress: Progress,
        act: Callable[[_Item], Awaitable[list[str]]],
    ) -> RunReport:
        pace, counted = Pace(request.rate), Counter[str]()
        async with self._trail.run(request, stop) as run:
            for number, item in enumerate(items, 1):
                await pace.turn(stop)
                if stop.is_set():
                    break
                counted.update(await act(item))
                run.tally = Tally(counted.total(), dict(sorted(counted.items())))
                progress(run.tally)
                if request.rate is not None or number % _NOTED_EVERY == 0:
                    await run.note(run.tally)
        return RunReport(run.id, "stopped" if stop.is_set() else "finished", run.tally)


@dataclass(frozen=True, slots=True)
class Queue:
    """What of one workflow's queue was selected: up to the event with the id ``through``, ``ahead`` of them not."""

    workflow_id: str
    through: int
    selected: int
    ahead: int
    expired: bool


def queues_of(events: Iterable[Waiting]) -> list[Queue]:
    """The queues that ``events`` stand in, in the order of their first."""
    by_workflow: dict[str, list[Waiting]] = {}
    for event in events:
        by_workflow.setdefault(event.workflow_id, []).append(event)
    return [
        Queue(
            workflow_id=workflow_id,
            through=waiting[-1].id,
            selected=len(waiting),
            ahead=waiting[-1].ahead + 1 - len(waiting),
            expired=any(event.expired for event in waiting),
        )
        for workflow_id, waiting in by_workflow.items()
    ]


def _discarded(event: Waiting) -> LedgerEntry:
    return LedgerEntry(
        event_id=event.event_id,
        event_type=event.event_type,
        topic=event.topic,
        partition=event.partition,
        offset=event.offset,
        key=key_text(event.key),
        route=event.route,
        workflow_id=event.workflow_id,
        outcome=Outcome.DISCARDED,
        reason=None,
        origin="parked",
        at=datetime.now(UTC),
    )
