"""From a row that was committed to the signal that its workflow handled: delays at several rates, and whose processor
time they took. Beside it the bare client at the same rate, without row, relay, Kafka and bridge: the floor."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import asyncpg

from infra.clients.postgres import require_dsn
from infra.local import Component
from outbox import Append, Outbox
from schemas.events import PickCompleted
from tests.benchmarks.bridge.servers import Ground
from tests.benchmarks.delays import Delays
from tests.benchmarks.machine import Spent
from tests.benchmarks.reporting import Table
from workflows.contracts.orders import ORDER_FULFILLMENT, PICK_COMPLETED

_WRITERS: Final = 4
_WARM: Final = 3.0
"""Seconds at the rate before it counts."""
_FIRST: Final = datetime(2027, 1, 1, tzinfo=UTC)
"""When reports were picked; no two of those that are told apart at the same moment."""
_SERVERS: Final = {
    Component.POSTGRES: "PostgreSQL",
    Component.KAFKA: "Kafka",
    Component.TEMPORAL: "Temporal",
}

_STEPS: Final = """
SELECT outbox.event_id,
       extract(epoch FROM pg_xact_commit_timestamp(outbox.xid::xid))::float8 AS committed,
       extract(epoch FROM ledger.at)::float8 AS accepted
FROM outbox.events AS outbox LEFT JOIN bridge.ledger AS ledger USING (event_id)
WHERE outbox.event_id = ANY($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class AtRate:
    """What was found at ``rate`` rows a second.

    ``cpu`` is milliseconds of processor time for one row, by process, from the first row until the last was handled.
    """

    rate: int
    what: str
    accepted: Delays
    """From the commit, or the client's call, to the moment at which Temporal had accepted the signal."""
    handled: Delays
    """From the same to the moment at which the workflow had handled it."""
    cpu: Mapping[str, float]

    @property
    def cores(self) -> float:
        """How many cores the rate takes: what a row costs all of them together, so many times a second."""
        return sum(cost for name, cost in self.cpu.items() if name != "all else") * self.rate / 1000


class RowToSignal:
    """Measures on servers that run; ``processes`` are the relay, the bridge and the worker, process ids by name."""

    def __init__(
        self, ground: Ground, orders: Sequence[str], notes: Path, processes: Mapping[str, int]
    ) -> None:
        self._ground = ground
        self._orders = orders
        self._notes = notes
        servers = {name: ground.stack.servers[one].pids[0] for one, name in _SERVERS.items()}
        self._spent = Spent({**processes, **servers})
        self._marks = itertools.count()

    async def at(self, rate: int, seconds: float) -> AtRate:
        """Append rows, one a transaction, as services do, at ``rate`` for ``seconds``; wait until all are handled."""
        events, warm = self._events(rate, seconds)
        ids: list[UUID] = [uuid4() for _ in events]
        self._spent.begin()
        await self._append(events, ids, rate)
        handled, cpu = await self._handled(events)
        steps = await self._steps(ids)
        begun, accepted = zip(*(steps[event_id] for event_id in ids), strict=True)
        return _at_rate(rate, "row committed", begun[warm:], accepted[warm:], handled[warm:], cpu)

    async def of_client(self, rate: int, seconds: float) -> AtRate:
        """The same signals from the bare client, each sent when its row would have been written."""
        events, warm = self._events(rate, seconds)
        begun, accepted = [0.0] * len(events), [0.0] * len(events)

        async def one(number: int) -> None:
            event = events[number]
            begun[number] = time.time()
            handle = self._ground.client.get_workflow_handle(
                ORDER_FULFILLMENT.workflow_id(order_id=event.order_id)
            )
            await handle.signal(PICK_COMPLETED.name, event.to_json())
            accepted[number] = time.time()

        self._spent.begin()
        await _at(rate, len(events), one)
        handled, cpu = await self._handled(events)
        return _at_rate(rate, "bare client called", begun[warm:], accepted[warm:], handled[warm:], cpu)

    def _events(self, rate: int, seconds: float) -> tuple[list[PickCompleted], int]:
        """What is reported, and how many of the first do not count."""
        warm = int(rate * min(_WARM, seconds))
        events = [
            PickCompleted(
                order_id=self._orders[n % len(self._orders)],
                picked_at=_FIRST + timedelta(microseconds=next(self._marks)),
            )
            for n in range(warm + int(rate * seconds))
        ]
        return events, warm

    async def _handled(self, events: Sequence[PickCompleted]) -> tuple[list[float], dict[str, float]]:
        """When each was handled, and what one cost each process until all were, milliseconds."""
        handled = await _noted(self._notes, [str(event.to_json()["picked_at"]) for event in events], 60)
        return handled, {name: 1000 * one / len(events) for name, one in self._spent.seconds().items()}

    async def _steps(self, ids: Sequence[UUID], patience: float = 20) -> dict[UUID, tuple[float, float]]:
        """When each event was committed, and when it was accepted; the ledger is written about once a second."""
        end = time.monotonic() + patience
        while True:
            rows = await self._ground.connection.fetch(_STEPS, ids)
            found = {row["event_id"]: (row["committed"], row["accepted"]) for row in rows if row["accepted"]}
            if len(found) == len(ids):
                return found
            if time.monotonic() > end:
                raise TimeoutError(f"{len(ids) - len(found)} of {len(ids)} events are not in the ledger")
            await asyncio.sleep(0.25)

    async def _append(self, events: Sequence[PickCompleted], ids: Sequence[UUID], rate: int) -> None:
        outbox = Outbox(self._ground.codec)
        dsn = require_dsn(self._ground.settings.postgres)
        connections = [await asyncpg.connect(dsn) for _ in range(_WRITERS)]
        free: asyncio.Queue[asyncpg.Connection[Any]] = asyncio.Queue()

        async def one(number: int) -> None:
            connection = await free.get()
            append = Append(event=events[number], event_id=ids[number], source="/services/wms", version=None)
            await outbox.append_all(connection, [append])
            free.put_nowait(connection)

        try:
            for connection in connections:
                free.put_nowait(connection)
            await _at(rate, len(events), one)
        finally:
            for connection in connections:
                await connection.close()


async def _at(rate: int, count: int, one: Callable[[int], Coroutine[Any, Any, None]]) -> None:
    """Begin ``one`` so many times a second, however long each takes, and wait for all."""
    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
            group.create_task(one(number))


def _at_rate(
    rate: int,
    what: str,
    begun: Sequence[float],
    accepted: Sequence[float],
    handled: Sequence[float],
    cpu: Mapping[str, float],
) -> AtRate:
    def since_begun(moments: Sequence[float]) -> Delays:
        return Delays.of([moment - since for moment, since in zip(moments, begun, strict=True)])

    return AtRate(rate, what, since_begun(accepted), since_begun(handled), cpu)


async def _noted(notes: Path, marks: Sequence[str], patience: float) -> list[float]:
    """When each report was handled first, by its mark."""
    end = time.monotonic() + patience
    while True:
        found: dict[str, float] = {}
        for line in (await asyncio.to_thread(notes.read_text)).splitlines():
            mark, at = line.split()
            found.setdefault(mark, float(at))
        missing = sum(mark not in found for mark in marks)
        if not missing:
            return [found[mark] for mark in marks]
        if time.monotonic() > end:
            raise TimeoutError(f"{missing} of {len(marks)} signals were not handled")
        await asyncio.sleep(0.25)


def delays_of(found: Sequence[AtRate]) -> Table:
    """The delays at each rate."""
    rows: list[tuple[str, str, float, float, float]] = []
    for one in found:
        rows.append((f"{one.rate}/s", f"{one.what} → accepted by Temporal", *one.accepted.three))
        rows.append(("", f"{one.what} → handled by its workflow", *one.handled.three))
    title = "Outbox row committed → signal, through relay, Kafka, bridge, Temporal and worker, ms"
    return Table(title, ("rate", "", "p50", "p99", "max"), rows)


def processor_of(found: Sequence[AtRate]) -> Table:
    """What one row costs each process at each rate, and how many cores that makes."""
    names = list(found[0].cpu)
    rows: list[tuple[str | float, ...]] = [(name, *(one.cpu[name] for one in found)) for name in names]
    rows.append(("cores that the rate takes, all else aside", *(one.cores for one in found)))
    columns = ("process", *(f"{one.rate}/s, {one.what}" for one in found))
    return Table("Processor time for one row, from commit to handled, ms", columns, rows)
