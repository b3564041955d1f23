"""Takes one record through to its outcome: what the bridge, a replay and a redrive all call.

The steps: who wants it (headers only), what it says (decoded once), where it goes (each route in turn), what
came of it (the ledger). Whatever cannot be finished raises :class:`~consumers.errors.RetryLaterError`; the
record is then handled again as a whole, and request ids and the ledger make the repetition harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from consumers.bridge.delivery import SETTLED, Delivered, Outcome, Reason, Settle
from consumers.bridge.ledger import Ledger, Origin
from consumers.bridge.metrics import BridgeMetrics
from consumers.bridge.parking import Parking
from consumers.bridge.reading import PoisonedError, RecordReader
from consumers.bridge.recording import Recorder, Subject
from consumers.bridge.requests import Delivery
from consumers.bridge.route import Route
from consumers.bridge.table import RoutingTable
from consumers.bridge.temporal import TemporalGateway
from consumers.bridge.tracing import BridgeTracing
from consumers.errors import KeyWaitsError
from consumers.runtime.record import ConsumedRecord
from schemas.envelope import Envelope
from schemas.event import Event

_BEHIND_OTHERS = timedelta(hours=1)
"""How long a signal-with-start is kept behind events that are parked: its workflow runs, so the next look ends it."""

_HELD_LOOK = 5.0
"""Seconds between two looks whether the dead letter that holds a key was redriven or discarded."""


@dataclass(frozen=True, slots=True)
class BridgeParts:
    """What a bridge is made of."""

    table: RoutingTable
    reader: RecordReader
    temporal: TemporalGateway
    ledger: Ledger
    parking: Parking
    recorder: Recorder
    metrics: BridgeMetrics
    tracing: BridgeTracing = field(default_factory=BridgeTracing)


@dataclass(frozen=True, slots=True)
class Planned:
    """What handling a record would do on one route: ``would`` is the route's action, ``nothing`` or ``dead_letter``;
    ``why`` says it in words."""

    event_id: UUID
    route: str
    workflow_id: str | None
    would: str
    why: str


class BridgeHandler:
    """Handles records: of one key one after the other, of many keys at once."""

    def __init__(self, parts: BridgeParts) -> None:
        self._parts = parts

    async def __call__(self, record: ConsumedRecord) -> None:
        """Handle a record that was just read from its topic: the runtime's handler port."""
        await self.handle(record, origin="live")

    async def handle(self, record: ConsumedRecord, *, origin: Origin) -> list[Delivered]:
        """Take ``record`` to its outcome on each route; an empty list where no route wants it.

        A replay or a redrive asks the ledger before anything is sent, so that what has had its effect is a
        ``DUPLICATE``. Ledger entries are durable after :meth:`flush`. Raises
        :class:`~consumers.errors.RetryLaterError` where the record must be handled again.
        """
        parts = self._parts
        unrouted = parts.table.unrouted(record.headers)
        if unrouted is not None:
            parts.metrics.unrouted.labels(unrouted).inc()
            return []
        with parts.tracing.processing(record):
            return await self._handle(record, origin)

    async def _handle(self, record: ConsumedRecord, origin: Origin) -> list[Delivered]:
        parts = self._parts
        routes: Sequence[Route] = ()
        envelope: Envelope | None = None
        try:
            envelope = await self._envelope(record)
            routes = parts.table.wanting(envelope)
            if not routes:
                parts.metrics.unrouted.labels(envelope.type).inc()
                return []
            event = await self._event(record, envelope)
            argument = self._parts.reader.argument(event, envelope)
        except PoisonedError as poison:
            return await self._bury_whole(self._subject(record, envelope, origin), routes, poison.reason)
        subject = self._subject(record, envelope, origin)
        return [await self._deliver(subject, event, argument, route) for route in routes]

    async def flush(self) -> None:
        """Return once the outcome of everything handled so far is durable."""
        await self._parts.ledger.flush()

    async def preview(self, record: ConsumedRecord) -> list[Planned]:
        """What :meth:`handle` would do as a replay, without doing it; it raises as that does."""
        if self._parts.table.unrouted(record.headers) is not None:
            return []
        try:
            envelope = await self._envelope(record)
            routes = self._parts.table.wanting(envelope)
            event = await self._event(record, envelope) if routes else None
            if event is not None:
                self._parts.reader.argument(event, envelope)
        except PoisonedError as poison:
            event_id = self._parts.reader.event_id(record)
            return [Planned(event_id, "", None, "dead_letter", poison.reason.sentence)]
        return [await self._planned(envelope.id, event, route) for route in routes if event is not None]

    async def _planned(self, event_id: UUID, event: Event, route: Route) -> Planned:
        workflow_id = route.workflow_id(event)
        if workflow_id is None:
            return Planned(event_id, route.name, None, "dead_letter", Reason.PAYLOAD_INVALID.sentence)
        known = sorted(await self._parts.ledger.outcomes(event_id, route.name) & SETTLED)
        if known:
            return Planned(
                event_id, route.name, workflow_id, "nothing", f"the ledger says: {', '.join(known)}"
            )
        return Planned(event_id, route.name, workflow_id, route.action, f"{route.action} {route.target}")

    async def _envelope(self, record: ConsumedRecord) -> Envelope:
        envelope = await self._parts.reader.envelope(record)
        if not self._parts.table.knows(envelope.type):
            raise PoisonedError(Reason.UNKNOWN_TYPE)
        return envelope

    async def _event(self, record: ConsumedRecord, envelope: Envelope) -> Event:
        if not record.key:
            raise PoisonedError(Reason.MISSING_KEY)
        return await self._parts.reader.event(record, envelope)

    def _subject(self, record: ConsumedRecord, envelope: Envelope | None, origin: Origin) -> Subject:
        if envelope is None:
            claimed = record.header("ce_type") or ""
            return Subject(
                record, self._parts.reader.event_id(record), claimed.replace("\0", "\ufffd"), origin
            )
        return Subject(record, envelope.id, envelope.type, origin)

    async def _deliver(
        self, subject: Subject, event: Event, argument: Mapping[str, Any], route: Route
    ) -> Delivered:
        parts = self._parts
        workflow_id = route.workflow_id(event)
        if workflow_id is None:
            return await self._bury(subject, route, None, Reason.PAYLOAD_INVALID)
        asked = subject.origin != "live" or route.starts
        if asked and await parts.ledger.settled(subject.event_id, route.name):
            return parts.recorder.noted(subject, route.name, workflow_id, Outcome.DUPLICATE)
        delivery = Delivery(subject.event_id, route, workflow_id, argument)
        if route.action != "start" and await parts.parking.holds(workflow_id):
            settle = await self._behind_others(delivery)
        else:
            settle = await parts.temporal.deliver(delivery)
        if settle.reason is not None:
            return await self._bury(subject, route, workflow_id, settle.reason)
        if settle.outcome is not Outcome.PARKED:
            return await parts.recorder.settled(subject, route.name, workflow_id, settle.outcome)
        # Temporal forgets a workflow after its retention; the ledger does not forget what it was told.
        if not asked and await parts.ledger.settled(subject.event_id, route.name):
            return parts.recorder.noted(subject, route.name, workflow_id, Outcome.DUPLICATE)
        return await self._park(subject, route, workflow_id)

    async def _behind_others(self, delivery: Delivery) -> Settle:
        """Queue behind the events that are parked for the workflow, and start it where the route may: a start passes
        them, a signal does not."""
        if delivery.route.action == "signal_with_start":
            alone = replace(delivery, route=delivery.route.start_alone())
            started = await self._parts.temporal.deliver(alone)
            if started.reason is not None:
                return started
        return Settle(Outcome.PARKED)

    async def _park(self, subject: Subject, route: Route, workflow_id: str) -> Delivered:
        patience = route.early.patience if route.early else _BEHIND_OTHERS
        entry = self._parts.recorder.entry(subject, route.name, workflow_id, Outcome.PARKED)
        await self._parts.parking.park(entry, subject.record, patience)
        return self._parts.recorder.noted(subject, route.name, workflow_id, Outcome.PARKED)

    async def _bury_whole(self, subject: Subject, routes: Sequence[Route], reason: Reason) -> list[Delivered]:
        """Bury a record that is bad on every route alike: one letter, without a route's name."""
        held = any(route.poison == "hold" for route in routes)
        if held and await self._mended(subject, ("", *(route.name for route in routes))):
            return [self._parts.recorder.noted(subject, "", "", Outcome.DUPLICATE)]
        delivered = await self._parts.recorder.buried(subject, "", None, reason)
        if held:
            self._hold(subject, reason)
        return [delivered]

    async def _bury(
        self, subject: Subject, route: Route, workflow_id: str | None, reason: Reason
    ) -> Delivered:
        """Bury a record that is bad on ``route``."""
        if route.poison == "hold" and await self._mended(subject, (route.name,)):
            return self._parts.recorder.noted(subject, route.name, workflow_id or "", Outcome.DUPLICATE)
        delivered = await self._parts.recorder.buried(subject, route.name, workflow_id, reason)
        if route.poison == "hold":
            self._hold(subject, reason)
        return delivered

    async def _mended(self, subject: Subject, names: Sequence[str]) -> bool:
        """Whether the dead letter was redriven or discarded since: one settled entry says so."""
        for name in names:
            if await self._parts.ledger.settled(subject.event_id, name):
                return True
        return False

    def _hold(self, subject: Subject, reason: Reason) -> None:
        if subject.origin != "live":
            return
        raise KeyWaitsError(
            f"{subject.record.coordinates} is a dead letter ({reason.value}) and holds its key: mend it and "
            "redrive it with `tidegate dlq redrive`",
            retry_after=_HELD_LOOK,
        )
