"""What becomes of a delivery: the table of design §6 as decisions over values, without any I/O.

A try to start or to signal gets an :class:`Answer` from Temporal. Where the answer is "not found", a second
question (:class:`Existence`) tells a workflow that does not exist yet from one that has closed. From the two
and the route's policies :func:`decide` says what happens: a :class:`Settle`, or one of the waits.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class Outcome(StrEnum):
    """The end of one event on one route, as the ledger records it."""

    DELIVERED = "delivered"
    """The workflow has the signal, or the request to cancel."""
    STARTED = "started"
    """The workflow was started by this event."""
    ALREADY_STARTED = "already_started"
    """A workflow with this id runs or ran: the start has had its effect before."""
    DUPLICATE = "duplicate"
    """The ledger knew that this event had had its effect on this route; nothing was sent."""
    PARKED = "parked"
    """The workflow does not exist yet: the event waits in PostgreSQL."""
    LATE = "late"
    """The workflow has closed; the route's policy says: record."""
    DEAD_LETTERED = "dead_lettered"
    """The event is in the dead-letter topic, with its reason."""
    DISCARDED = "discarded"
    """A person decided that the dead letter needs no delivery."""


SETTLED = frozenset(
    {Outcome.DELIVERED, Outcome.STARTED, Outcome.ALREADY_STARTED, Outcome.LATE, Outcome.DISCARDED}
)
"""Outcomes after which an event has had all the effect that it will have on its route."""


class Reason(StrEnum):
    """Why an event is a dead letter."""

    UNDECODABLE = "undecodable"
    TRUNCATED = "truncated"
    UNKNOWN_SCHEMA = "unknown_schema"
    UNKNOWN_TYPE = "unknown_type"
    MISSING_KEY = "missing_key"
    PAYLOAD_INVALID = "payload_invalid"
    REFUSED = "refused"
    EXPIRED = "expired"
    LATE = "late"
    PERSONAL_DATA = "personal_data"

    @property
    def sentence(self) -> str:
        """What a person reads; it never holds a value of the event (design §9, promise 8)."""
        return _SENTENCES[self]


_SENTENCES = {
    Reason.UNDECODABLE: "the value is not what its schema says",
    Reason.TRUNCATED: "the value ends before its schema does",
    Reason.UNKNOWN_SCHEMA: "the registry knows no schema with the id in the value",
    Reason.UNKNOWN_TYPE: "no schema of this release describes an event of this type",
    Reason.MISSING_KEY: "the record has no key, so its order among other events is unknown",
    Reason.PAYLOAD_INVALID: "the event lacks what its route needs",
    Reason.REFUSED: "Temporal refuses the request as invalid",
    Reason.EXPIRED: "the workflow did not appear before the event's deadline",
    Reason.LATE: "the workflow had closed before the event came",
    Reason.PERSONAL_DATA: "a field holds more about a person than a reference; the record stays where it was sent",
}


class Answer(StrEnum):
    """What Temporal said to a start, a signal or a cancellation."""

    ACCEPTED = "accepted"
    ALREADY_STARTED = "already_started"
    NOT_FOUND = "not_found"
    CLOSED = "closed"
    """The workflow has closed, and what was sent did not reach it."""
    UNAVAILABLE = "unavailable"
    """No answer, or none that this event has anything to do with: unavailable, rate-limited, deadline
    exceeded, unauthenticated, permission denied, namespace missing, internal."""
    BUSY_WORKFLOW = "busy_workflow"
    SIGNAL_LIMIT = "signal_limit"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    """The event is larger than a request to Temporal may be; nothing was sent."""


class Existence(StrEnum):
    """What a look at a workflow id found."""

    RUNNING = "running"
    CLOSED = "closed"
    MISSING = "missing"
    UNKNOWN = "unknown"
    """The look got no answer."""


class Early(StrEnum):
    """What a route does with an event that comes before its workflow exists."""

    PARK = "park"
    DEAD_LETTER = "dead_letter"


class Late(StrEnum):
    """What a route does with an event that comes after its workflow has closed."""

    RECORD = "record"
    DEAD_LETTER = "dead_letter"


class Wait(StrEnum):
    """What a try that settled nothing leads to. The same request id is used for every later try."""

    LOOK = "look"
    """Ask whether the workflow exists."""
    AGAIN = "again"
    """Try again at once: the workflow came or went between the try and the look."""
    PARTITION = "partition"
    """The partition pauses."""
    KEY = "key"
    """The key waits."""


@dataclass(frozen=True, slots=True)
class Settle:
    """The event is settled on its route with ``outcome``; ``reason`` is set for a dead letter only."""

    outcome: Outcome
    reason: Reason | None = None


Decision = Settle | Wait


def decide(
    answer: Answer, existence: Existence | None, *, early: Early | None, late: Late | None
) -> Decision:
    """What happens after ``answer``, given what a look found (None: nobody has looked yet).

    Nothing but an answer about *this* event parks or dead-letters it: whatever may be the server's trouble is
    waited out. ``early`` and ``late`` are None for a start, which cannot come too early or too late; ``early`` is None
    for a signal-with-start.
    Source: design §6, the table of outcomes.
    """
    match answer:
        case Answer.ACCEPTED:
            return Settle(Outcome.DELIVERED if late is not None else Outcome.STARTED)
        case Answer.ALREADY_STARTED:
            return Settle(Outcome.ALREADY_STARTED)
        case Answer.REFUSED | Answer.TOO_LARGE:
            return Settle(Outcome.DEAD_LETTERED, Reason.REFUSED)
        case Answer.CLOSED:
            return _too_late(late)
        case Answer.UNAVAILABLE:
            return Wait.PARTITION
        case Answer.BUSY_WORKFLOW | Answer.SIGNAL_LIMIT:
            return Wait.KEY
        case Answer.NOT_FOUND:
            return _not_found(existence, early=early, late=late)


def _not_found(existence: Existence | None, *, early: Early | None, late: Late | None) -> Decision:
    match existence:
        case None:
            return Wait.LOOK
        case Existence.UNKNOWN:
            return Wait.PARTITION
        case Existence.RUNNING:
            return Wait.AGAIN
        case Existence.CLOSED:
            return _too_late(late)
        case Existence.MISSING:
            if early is None:
                return Wait.AGAIN
            if early is Early.DEAD_LETTER:
                return Settle(Outcome.DEAD_LETTERED, Reason.EXPIRED)
            return Settle(Outcome.PARKED)


def _too_late(late: Late | None) -> Settle:
    if late is Late.DEAD_LETTER:
        return Settle(Outcome.DEAD_LETTERED, Reason.LATE)
    return Settle(Outcome.LATE)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one event on one route.

    ``route`` is empty and ``workflow_id`` None for a record that is bad before a route can be chosen.
    """

    event_id: UUID
    route: str
    workflow_id: str | None
    outcome: Outcome
    reason: Reason | None = None
