"""Writing down what became of an event: the ledger, the dead-letter topic, the figures, the log."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from consumers.bridge.breaker import DeadLetterBreaker
from consumers.bridge.dead_letters import DeadLetter, DeadLetters, kept
from consumers.bridge.delivery import Delivered, Outcome, Reason
from consumers.bridge.ledger import Ledger, LedgerEntry, Origin, key_text
from consumers.bridge.metrics import BridgeMetrics
from consumers.runtime.record import ConsumedRecord

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subject:
    """A record, the event it is, and where it was read from. ``event_type`` is what the record claims."""

    record: ConsumedRecord
    event_id: UUID
    event_type: str
    origin: Origin


class Recorder:
    """Writes outcomes. ``now`` gives the time in UTC."""

    def __init__(
        self,
        ledger: Ledger,
        dead_letters: DeadLetters,
        breaker: DeadLetterBreaker,
        metrics: BridgeMetrics,
        now: Callable[[], datetime],
    ) -> None:
        self._ledger = ledger
        self._dead_letters = dead_letters
        self._breaker = breaker
        self._metrics = metrics
        self._now = now

    async def settled(self, subject: Subject, route: str, workflow_id: str, outcome: Outcome) -> Delivered:
        """The event found ``outcome`` on ``route``; in the ledger after its next flush."""
        await self._ledger.write(self.entry(subject, route, workflow_id, outcome))
        return self.noted(subject, route, workflow_id, outcome)

    def noted(self, subject: Subject, route: str, workflow_id: str, outcome: Outcome) -> Delivered:
        """The event found ``outcome`` on ``route``, and the ledger has it or needs no entry."""
        if subject.origin == "live":
            self._breaker.good()
        self._metrics.settled(route, outcome)
        return Delivered(subject.event_id, route, workflow_id, outcome)

    async def buried(
        self, subject: Subject, route: str, workflow_id: str | None, reason: Reason
    ) -> Delivered:
        """The event is in its dead-letter topic, once for each route that it is bad on.

        Raises :class:`~consumers.errors.ConsumerPausedError` where the breaker forbids it,
        :class:`~consumers.errors.DownstreamUnavailableError` where broker or ledger do not answer.
        """
        known = await self._ledger.outcomes(subject.event_id, route)
        if Outcome.DEAD_LETTERED not in known:
            if subject.origin == "live":
                self._breaker.admit_dead_letter()
            await self.publish(subject, route, workflow_id, reason)
            await self._ledger.write(self.entry(subject, route, workflow_id, Outcome.DEAD_LETTERED, reason))
        return Delivered(subject.event_id, route, workflow_id, Outcome.DEAD_LETTERED, reason)

    async def publish(self, subject: Subject, route: str, workflow_id: str | None, reason: Reason) -> None:
        """Put a letter into the dead-letter topic, count it and log it; the ledger is left to the caller."""
        record = subject.record
        letter = DeadLetter(kept(record, reason), reason, subject.event_id, route, workflow_id, self._now())
        await self._dead_letters.publish(letter)
        self._metrics.dead_letters.labels(record.topic, reason.value).inc()
        self._metrics.settled(route, Outcome.DEAD_LETTERED)
        _log.warning(
            "dead letter",
            record=record.coordinates,
            event_id=str(subject.event_id),
            reason=reason.value,
            topic=letter.topic,
        )

    def entry(
        self,
        subject: Subject,
        route: str,
        workflow_id: str | None,
        outcome: Outcome,
        reason: Reason | None = None,
    ) -> LedgerEntry:
        """The row of the ledger for ``subject``, at this moment."""
        record = subject.record
        return LedgerEntry(
            event_id=subject.event_id,
            event_type=subject.event_type,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=None
            if reason is Reason.PERSONAL_DATA
            else key_text(record.key),  # it may be what is personal
            route=route,
            workflow_id=workflow_id,
            outcome=outcome,
            reason=reason,
            origin=subject.origin,
            at=self._now(),
        )
