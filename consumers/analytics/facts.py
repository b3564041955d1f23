"""The fold from order events to the facts of an order: any order of arrival, any repetition, the same facts.

Each rule takes the least or the greatest of what has been seen, never the latest to arrive, so an event that comes
late, twice, or again under a new event id cannot move a fact:

- a time is the earliest that any event told;
- what was ordered (request, customer, currency, amounts) is told by the first submission, the least (time, event
  id): OrderSubmitted of a direct order, CheckoutRequested of a paid one;
- the state is told by the event of the greatest version of the order (`ce_sequence` of `/services/oms`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

from consumers.analytics.amounts import amounts_of
from schemas.envelope import Envelope
from schemas.event import Event
from schemas.events import (
    CheckoutExpired,
    CheckoutRejected,
    CheckoutRequested,
    OrderCancelled,
    OrderCancelRequested,
    OrderConfirmed,
    OrderCreated,
    OrderDelivered,
    OrderFailed,
    OrderRejected,
    OrderReserved,
    OrderShipped,
    OrderSubmitted,
)

OMS_SOURCE: Final = "/services/oms"
"""Only this source's ``ce_sequence`` is the order's version; other sources count for themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderFacts:
    """What is known of one order; ``None`` is what no event has told yet. Times are UTC, money has two decimals."""

    order_id: str
    request_id: str | None = None
    customer_id: str | None = None
    currency: str | None = None
    gross: Decimal | None = None
    net: Decimal | None = None
    ordered_at: datetime | None = None
    submitted_at: datetime | None = None
    submission_id: UUID | None = None
    rejected_at: datetime | None = None
    created_at: datetime | None = None
    reserved_at: datetime | None = None
    confirmed_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    failed_at: datetime | None = None
    failure_code: str | None = None
    cancel_requested_at: datetime | None = None
    cancelled_at: datetime | None = None
    state: str | None = None
    state_sequence: int = -2

    @property
    def lead_time(self) -> timedelta | None:
        """From the commit of the submission to the shipment."""
        if self.shipped_at is None or self.submitted_at is None:
            return None
        return self.shipped_at - self.submitted_at


COLUMNS: Final = tuple(field.name for field in fields(OrderFacts))
"""The columns of ``analytics.order_facts`` that the fold fills, ``order_id`` first."""

_STATES: Final[dict[type[Event], tuple[str, int]]] = {
    OrderSubmitted: ("SUBMITTED", 0),
    OrderRejected: ("REJECTED", 1),
    OrderCreated: ("CREATED", 2),
    OrderReserved: ("RESERVED", 3),
    OrderConfirmed: ("CONFIRMED", 4),
    OrderShipped: ("SHIPPED", 5),
    OrderDelivered: ("DELIVERED", 6),
    OrderFailed: ("FAILED", 7),
    OrderCancelled: ("CANCELLED", 8),
    CheckoutRequested: ("SUBMITTED", 0),
    CheckoutRejected: ("REJECTED", 1),
    CheckoutExpired: ("REJECTED", 1),
}
"""The state that an event tells, and its rank where versions do not decide (a producer that sends none)."""
_RANKS: Final = dict(_STATES.values())


def order_of(event: Event) -> str | None:
    """The order that ``event`` tells something about; ``None`` where it tells nothing that is kept here."""
    if type(event) not in _STATES and not isinstance(event, OrderCancelRequested):
        return None
    order_id: str | None = getattr(event, "order_id", None)
    return order_id


def fold(facts: OrderFacts, event: Event, envelope: Envelope) -> OrderFacts:
    """The facts after ``event``. Commutative, associative over events and idempotent."""
    return _with_state(_with_content(facts, event, envelope), event, envelope)


def _with_content(facts: OrderFacts, event: Event, envelope: Envelope) -> OrderFacts:
    match event:
        case OrderSubmitted():
            return _with_submission(facts, event, event.ordered_at, envelope)
        case CheckoutRequested():
            return _with_submission(facts, event, event.requested_at, envelope)
        case OrderRejected():
            return replace(facts, rejected_at=earliest(facts.rejected_at, event.rejected_at))
        case OrderCreated():
            return replace(facts, created_at=earliest(facts.created_at, event.created_at))
        case OrderReserved():
            return replace(facts, reserved_at=earliest(facts.reserved_at, event.reserved_at))
        case OrderConfirmed():
            return replace(facts, confirmed_at=earliest(facts.confirmed_at, event.confirmed_at))
        case OrderShipped():
            return replace(facts, shipped_at=earliest(facts.shipped_at, event.shipped_at))
        case OrderDelivered():
            return replace(facts, delivered_at=earliest(facts.delivered_at, event.delivered_at))
        case OrderFailed():
            return _with_failure(facts, event)
        case OrderCancelRequested():
            return replace(facts, cancel_requested_at=earliest(facts.cancel_requested_at, event.requested_at))
        case OrderCancelled():
            return replace(facts, cancelled_at=earliest(facts.cancelled_at, event.cancelled_at))
        case _:
            return facts


def _with_submission(
    facts: OrderFacts, event: OrderSubmitted | CheckoutRequested, ordered_at: datetime, envelope: Envelope
) -> OrderFacts:
    told = (envelope.time, envelope.id)
    if facts.submitted_at and facts.submission_id and (facts.submitted_at, facts.submission_id) <= told:
        return facts
    amounts = amounts_of(event.lines)
    return replace(
        facts,
        request_id=event.request_id,
        customer_id=event.customer_id,
        currency=event.currency,
        gross=amounts.gross,
        net=amounts.net,
        ordered_at=ordered_at,
        submitted_at=envelope.time,
        submission_id=envelope.id,
    )


def _with_failure(facts: OrderFacts, event: OrderFailed) -> OrderFacts:
    told = (event.failed_at, event.code)
    if facts.failed_at is not None and (facts.failed_at, facts.failure_code or "") <= told:
        return facts
    return replace(facts, failed_at=event.failed_at, failure_code=event.code)


def _with_state(facts: OrderFacts, event: Event, envelope: Envelope) -> OrderFacts:
    told = _STATES.get(type(event))
    if told is None:
        return facts
    state, rank = told
    sequence = envelope.sequence if envelope.source == OMS_SOURCE and envelope.sequence is not None else -1
    known = (facts.state_sequence, -1 if facts.state is None else _RANKS[facts.state])
    return facts if (sequence, rank) <= known else replace(facts, state=state, state_sequence=sequence)


def earliest(known: datetime | None, told: datetime) -> datetime:
    """The earlier of what is known and what was told now."""
    return told if known is None else min(known, told)
