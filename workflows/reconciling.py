"""What is done about a partial state: pure rules over a candidate and what Temporal says of its workflows.

A candidate whose workflow runs is in good hands, whatever its age: workflows wait. One without is resumed where that
can have no second effect, and is otherwise an alert for a person. The order of the looks matters: a parent is
looked at before its child, because it starts the child before it ends.

Source: 000, "resume or alert"; issue 4, "Reconciliation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias

from services.reconciliation import Candidate, Kind
from workflows.activities.contracts.orders import CANCEL_SHIPMENT, RELEASE_INVENTORY
from workflows.activities.contracts.payment import VOID_AUTHORIZATION
from workflows.contracts.base import WorkflowContract
from workflows.contracts.checkout import CHECKOUT
from workflows.contracts.order import ORDER, ORDER_RESERVED, PAYMENT_CAPTURED, SHIPMENT_DELIVERED
from workflows.contracts.orders import ORDER_FULFILLMENT, ORDER_INTAKE
from workflows.contracts.payment import PAYMENT
from workflows.contracts.replenishment import REPLENISHMENT
from workflows.policies import LABEL_CLOCK

_OVER: Final = ("FAILED", "CANCELLED")
_LABEL_OVERDUE: Final = LABEL_CLOCK + timedelta(minutes=15)
_EVENT_TYPES: Final = {
    ORDER_RESERVED.name: "tidegate.oms.orders.OrderReserved",
    PAYMENT_CAPTURED.name: "tidegate.payments.payments.PaymentCaptured",
}


class Existence(StrEnum):
    """Whether a workflow runs, has closed, or is not there (never was, or past Temporal's retention)."""

    RUNNING = "running"
    CLOSED = "closed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Found:
    """What Temporal says of one workflow id; ``status`` is what the workflow shows of itself."""

    existence: Existence
    status: str | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """It is in good hands, or another kind's business."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start the missing workflow under its own id, and tell it again what an earlier run had been told."""

    contract: WorkflowContract
    workflow_id: str
    argument: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True, slots=True)
class Deliver:
    """Deliver the newest event of ``event_type`` about ``key`` to the workflow, under the event's own id."""

    event_type: str
    key: str
    workflow_id: str


@dataclass(frozen=True, slots=True)
class TellAgain:
    """Deliver everything again that the ledger says the workflow was told: repeats are dropped."""

    workflow_id: str


@dataclass(frozen=True, slots=True)
class RetryParked:
    """Let the bridge try the parked events of the workflow now."""

    workflow_id: str


@dataclass(frozen=True, slots=True)
class AskOwner:
    """Have the owner undo it: the name of one of its activities, idempotent by order id."""

    activity: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A person has to look; ``detail`` is one sentence, with nothing personal in it."""

    detail: str


Decision: TypeAlias = Leave | Start | Deliver | TellAgain | RetryParked | AskOwner | Alert

LEAVE: Final = Leave()


def asks(candidate: Candidate) -> tuple[str, ...]:
    """The workflow ids that the rule of ``candidate`` looks at, in the order in which they must be looked at."""
    facts, subject = candidate.facts, candidate.subject
    fulfillment, order = _fulfillment(subject), ORDER.workflow_id(order_id=subject)
    match candidate.kind:
        case Kind.PARKED_PAST_HALF:
            return (subject,)
        case Kind.REPLENISHMENT_WITHOUT_WORKFLOW:
            return (_replenishment(facts),)
        case Kind.EVENT_NOT_TAKEN:
            return (order, PAYMENT.workflow_id(order_id=subject), fulfillment)
        case Kind.ORDER_WITHOUT_WORKFLOW if facts["flow"] == "direct":
            return (ORDER_INTAKE.workflow_id(request_id=facts["request_id"]), fulfillment)
        case _:
            checkout = facts.get("checkout_id")
            before = (CHECKOUT.workflow_id(checkout_id=checkout),) if checkout else ()
            return (*before, order, PAYMENT.workflow_id(order_id=subject), fulfillment)


def decide(candidate: Candidate, found: Mapping[str, Found]) -> Decision:
    """What is done about ``candidate``; ``found`` answers for every id of :func:`asks`."""
    return _RULES[candidate.kind](candidate, _Seen(found))


class _Seen:
    """What was found, asked by workflow id."""

    def __init__(self, found: Mapping[str, Found]) -> None:
        self._found = found

    def runs(self, *ids: str | None) -> bool:
        return any(self._existence(each) is Existence.RUNNING for each in ids)

    def closed(self, workflow_id: str) -> bool:
        return self._existence(workflow_id) is Existence.CLOSED

    def missing(self, *ids: str) -> bool:
        return all(self._existence(each) is Existence.MISSING for each in ids)

    def anything_runs(self) -> bool:
        return self.runs(*self._found)

    def status(self, workflow_id: str) -> str | None:
        return self._found[workflow_id].status

    def _existence(self, workflow_id: str | None) -> Existence:
        if workflow_id is None or workflow_id not in self._found:
            return Existence.MISSING
        return self._found[workflow_id].existence


def _order_without_workflow(candidate: Candidate, seen: _Seen) -> Decision:
    if seen.anything_runs():
        return LEAVE
    facts, order_id = candidate.facts, candidate.subject
    fulfillment, order = _fulfillment(order_id), ORDER.workflow_id(order_id=order_id)
    if facts["flow"] == "direct":
        if seen.missing(fulfillment):
            return Start(ORDER_FULFILLMENT, fulfillment, {"order_id": order_id, "flow": "direct"})
        return Alert(f"the order is {facts['state']}, and its fulfillment has closed")
    if not seen.missing(order, fulfillment):
        return Alert(f"the paid order is {facts['state']}, and its workflows have closed")
    if facts["checkout_state"] == "COMPLETED" and facts["state"] == "CREATED":
        return Start(ORDER, order, {"order_id": order_id})
    checkout = facts["checkout_state"] or "unknown"
    return Alert(f"the paid order is {facts['state']}, its checkout {checkout}, and no workflow has it")


def _replenishment_without_workflow(candidate: Candidate, seen: _Seen) -> Decision:
    workflow_id = _replenishment(candidate.facts)
    if seen.runs(workflow_id):
        return LEAVE
    if seen.closed(workflow_id):
        return Alert("the lot was ordered and has not come, and its replenishment has closed")
    argument = {"sku": candidate.facts["sku"], "cycle": candidate.facts["cycle"]}
    return Start(REPLENISHMENT, workflow_id, argument)


def _parked_past_half(candidate: Candidate, seen: _Seen) -> Decision:
    if not seen.missing(candidate.subject):
        return RetryParked(candidate.subject)
    facts = candidate.facts
    return Alert(
        f"{facts['events']} events (the first by name: {facts['event_type']}) wait for a workflow that is not there, "
        f"and become dead letters from {facts['deadline']} on"
    )


def _event_not_taken(candidate: Candidate, seen: _Seen) -> Decision:
    order_id, awaits = candidate.subject, candidate.facts["awaits"]
    order, fulfillment = ORDER.workflow_id(order_id=order_id), _fulfillment(order_id)
    if awaits == ORDER_RESERVED.name:
        waits = seen.runs(order) and seen.missing(PAYMENT.workflow_id(order_id=order_id))
        return Deliver(_EVENT_TYPES[awaits], order_id, order) if waits else LEAVE
    if awaits == PAYMENT_CAPTURED.name:
        waits = seen.runs(fulfillment) and seen.status(fulfillment) == "WAITING_FOR_PAYMENT"
        return Deliver(_EVENT_TYPES[awaits], order_id, fulfillment) if waits else LEAVE
    if awaits == SHIPMENT_DELIVERED.name:
        return TellAgain(order) if seen.runs(order) else LEAVE
    return LEAVE


def _reservation_without_order(candidate: Candidate, seen: _Seen) -> Decision:
    if seen.anything_runs():
        return LEAVE
    facts = candidate.facts
    if facts["state"] == "CONSUMED":
        return Alert(f"the stock was consumed, and the order is {facts['order_state'] or 'unknown'}")
    return AskOwner(RELEASE_INVENTORY.name)


def _shipment_without_label(candidate: Candidate, seen: _Seen) -> Decision:
    facts, state = candidate.facts, candidate.facts["order_state"]
    if seen.anything_runs():
        overdue = facts["age_seconds"] > _LABEL_OVERDUE.total_seconds()
        return Alert("no label within its clock, and the fulfillment still runs") if overdue else LEAVE
    if state is None or state in _OVER:
        return AskOwner(CANCEL_SHIPMENT.name)
    if state in ("SHIPPED", "DELIVERED"):
        return Alert(f"the order is {state}, and its shipment has no label")
    return LEAVE  # an open order without a workflow: that kind's business


def _authorization_open(candidate: Candidate, seen: _Seen) -> Decision:
    if seen.anything_runs():
        return LEAVE
    facts, state = candidate.facts, candidate.facts["order_state"]
    if state in ("SHIPPED", "DELIVERED"):
        return Alert(f"the order is {state}, and its payment was never taken ({facts['state']})")
    if state is None or state in _OVER:
        return AskOwner(VOID_AUTHORIZATION.name)
    return LEAVE  # an open order without a workflow: that kind's business


_RULES: Final[Mapping[Kind, Callable[[Candidate, _Seen], Decision]]] = {
    Kind.ORDER_WITHOUT_WORKFLOW: _order_without_workflow,
    Kind.REPLENISHMENT_WITHOUT_WORKFLOW: _replenishment_without_workflow,
    Kind.PARKED_PAST_HALF: _parked_past_half,
    Kind.EVENT_NOT_TAKEN: _event_not_taken,
    Kind.RESERVATION_WITHOUT_ORDER: _reservation_without_order,
    Kind.SHIPMENT_WITHOUT_LABEL: _shipment_without_label,
    Kind.AUTHORIZATION_OPEN: _authorization_open,
}


def _fulfillment(order_id: str) -> str:
    return ORDER_FULFILLMENT.workflow_id(order_id=order_id)


def _replenishment(facts: Mapping[str, Any]) -> str:
    return REPLENISHMENT.workflow_id(sku=str(facts["sku"]), cycle=str(facts["cycle"]))


def spoken(decision: Decision) -> str:
    """What the decision would do, for people and for the record."""
    match decision:
        case Leave():
            return "nothing"
        case Start():
            return f"start {decision.workflow_id}"
        case Deliver():
            return f"deliver {decision.event_type.rpartition('.')[2]} to {decision.workflow_id}"
        case TellAgain():
            return f"tell {decision.workflow_id} again what it was told"
        case RetryParked():
            return f"retry the parked events of {decision.workflow_id}"
        case AskOwner():
            return decision.activity
        case Alert():
            return f"alert: {decision.detail}"


def in_order(kinds: Sequence[str]) -> tuple[Kind, ...]:
    """The kinds by their names. Raises ValueError for one that there is no rule for."""
    return tuple(Kind(name) for name in kinds)
