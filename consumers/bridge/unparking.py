"""Delivers parked events once their workflow appears; buries those whose deadline passes first.

Each look asks Temporal for the workflows that are waited for. One that is there gets its events in the order
in which they were parked, each in a transaction of its own that delivers, writes the ledger and removes the
row: a crash in between delivers again with the same request id. Several bridges may look at once; an advisory
lock lets one of them deliver to a workflow at a time.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import structlog

from consumers.bridge.database import bridge_database
from consumers.bridge.delivery import Existence, Outcome, Reason
from consumers.bridge.ledger import append
from consumers.bridge.metrics import BridgeMetrics
from consumers.bridge.parking import SQL, Parked, Parking
from consumers.bridge.reading import PoisonedError, RecordReader
from consumers.bridge.recording import Recorder, Subject
from consumers.bridge.table import RoutingTable
from consumers.bridge.temporal import Delivery, TemporalGateway
from consumers.bridge.tracing import BridgeTracing
from consumers.errors import DownstreamUnavailableError, KeyWaitsError, RetryLaterError

_log = structlog.get_logger()
_AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class UnparkerParts:
    """What an unparker works with."""

    pool: asyncpg.Pool
    parking: Parking
    table: RoutingTable
    reader: RecordReader
    temporal: TemporalGateway
    recorder: Recorder
    metrics: BridgeMetrics
    tracing: BridgeTracing = field(default_factory=BridgeTracing)


class Unparker:
    """Looks every ``interval`` seconds. It never fails for good: what cannot be done now is done at a later
    look."""

    def __init__(self, parts: UnparkerParts, *, interval: float = 1.0) -> None:
        self._parts = parts
        self._interval = interval

    async def run(self, stop: asyncio.Event) -> None:
        """Look until ``stop`` is set."""
        while not stop.is_set():
            try:
                await self.look()
            except RetryLaterError as error:
                _log.warning("parked events must wait", reason=str(error))
            except Exception:
                _log.exception("a look at the parked events failed")
            try:
                await asyncio.wait_for(stop.wait(), self._interval)
            except TimeoutError:
                continue

    async def look(self) -> int:
        """Look once at every workflow that is due; how many events left the parked table.

        Raises :class:`~consumers.errors.RetryLaterError` where a server does not answer.
        """
        parking, loop = self._parts.parking, asyncio.get_running_loop()
        await parking.refresh()
        due = parking.due(loop.time())
        left = 0
        for first in range(0, len(due), _AT_ONCE):
            counts = await asyncio.gather(
                *(self._visit(workflow_id) for workflow_id in due[first : first + _AT_ONCE]),
                return_exceptions=True,
            )
            left += sum(count for count in counts if isinstance(count, int))
            for count in counts:
                if isinstance(count, BaseException):
                    raise count
        if due:
            await parking.refresh()
        self._parts.metrics.parked.set(parking.awaited)
        return left

    async def visit(self, workflow_id: str) -> int:
        """Look at one workflow now, whether or not it is due; how many events left the parked table.

        Raises :class:`~consumers.errors.RetryLaterError` where a server does not answer.
        """
        await self._parts.parking.refresh()
        return await self._visit(workflow_id)

    async def release(self, workflow_id: str, through: int) -> list[Outcome]:
        """Try now to deliver what waits for one workflow, in its order, up to the parked event with the id ``through``.

        What came of each that left the parked table; it stops at the first that must go on waiting. Raises as
        :meth:`visit`.
        """
        outcomes: list[Outcome] = []
        try:
            while outcome := await self._take_first(workflow_id, through):
                outcomes.append(outcome)
        except KeyWaitsError as error:
            _log.warning("parked events must wait", workflow_id=workflow_id, reason=str(error))
        return outcomes

    async def _visit(self, workflow_id: str) -> int:
        try:
            return await self._empty(workflow_id)
        except KeyWaitsError as error:
            _log.warning("parked events must wait", workflow_id=workflow_id, reason=str(error))
            return 0

    async def _empty(self, workflow_id: str) -> int:
        existence, text = await self._parts.temporal.look(workflow_id)
        if existence is Existence.UNKNOWN:
            raise DownstreamUnavailableError(f"Temporal cannot say whether {workflow_id} is there: {text}")
        if existence is Existence.MISSING and not self._parts.parking.has_expired(workflow_id):
            self._parts.parking.postpone(workflow_id, asyncio.get_running_loop().time())
            return 0
        left = 0
        while await self._take_first(workflow_id):
            left += 1
        return left

    async def _take_first(self, workflow_id: str, through: int | None = None) -> Outcome | None:
        """Deliver or bury the event that has waited longest; None where none is or it must go on waiting."""
        with bridge_database():
            async with self._parts.pool.acquire() as connection, connection.transaction():
                if not await connection.fetchval(SQL["claim"], workflow_id):
                    return None
                row = await connection.fetchrow(SQL["first"], workflow_id, through)
                if row is None:
                    return None
                return await self._settle(connection, Parked.of(row))

    async def _settle(self, connection: Any, parked: Parked) -> Outcome | None:
        parts, route = self._parts, self._parts.table.named(parked.route)
        subject = Subject(parked.record, parked.event_id, parked.event_type, "parked")
        reason: Reason | None = None
        outcome = Outcome.PARKED
        if route is not None:
            try:
                envelope = await parts.reader.envelope(parked.record)
                argument = parts.reader.argument(await parts.reader.event(parked.record, envelope), envelope)
            except PoisonedError as poison:
                reason = poison.reason
            else:
                delivery = Delivery(parked.event_id, route, parked.workflow_id, argument)
                with parts.tracing.processing(parked.record):
                    settle = await parts.temporal.deliver(delivery)
                outcome, reason = settle.outcome, settle.reason
        if outcome is Outcome.PARKED and reason is None:
            if not parked.expired:
                return None
            reason = Reason.EXPIRED
        if reason is not None:
            outcome = Outcome.DEAD_LETTERED
            await parts.recorder.publish(subject, parked.route, parked.workflow_id, reason)
        entry = parts.recorder.entry(subject, parked.route, parked.workflow_id, outcome, reason)
        await append(connection, [entry])
        await connection.execute(SQL["remove"], parked.id)
        if reason is None:
            parts.recorder.noted(subject, parked.route, parked.workflow_id, outcome)
        _log.info(
            "parked event settled",
            event_id=str(parked.event_id),
            workflow_id=parked.workflow_id,
            outcome=outcome.value,
        )
        return outcome
