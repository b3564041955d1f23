"""What is done about each partial state: the rules of reconciliation, without any server."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from services.reconciliation import GRACE, Kind
from services.reconciliation.scanning import Candidate
from workflows.activities.contracts.reconciliation import KINDS, OWNERS
from workflows.reconciling import (
    Alert,
    AskOwner,
    Decision,
    Deliver,
    Existence,
    Found,
    Leave,
    RetryParked,
    Start,
    TellAgain,
    asks,
    decide,
    spoken,
)

_SINCE = datetime(2026, 11, 21, tzinfo=UTC)
DIRECT = {
    "flow": "direct",
    "state": "CREATED",
    "request_id": "r",
    "checkout_id": None,
    "checkout_state": None,
}
PAID = {
    "flow": "paid",
    "state": "CREATED",
    "request_id": "r",
    "checkout_id": "c",
    "checkout_state": "COMPLETED",
}


def decided(
    kind: Kind, facts: Mapping[str, Any], subject: str = "o", **found: Existence | tuple[Existence, str]
) -> Decision:
    """The decision about a candidate; ``found`` by the beginning of the workflow's id, all others are missing."""
    candidate = Candidate(kind, subject, _SINCE, facts)
    answers = {}
    for workflow_id in asks(candidate):
        answers[workflow_id] = Found(Existence.MISSING)
        for prefix, answer in found.items():
            begins = prefix.replace("_", "-")
            if workflow_id in (f"{begins}-o", f"{begins}-r", f"{begins}-c", f"{begins}-A-3"):
                existence, status = answer if isinstance(answer, tuple) else (answer, None)
                answers[workflow_id] = Found(existence, status)
    return decide(candidate, answers)


RUNNING, CLOSED = Existence.RUNNING, Existence.CLOSED


def test_every_kind_has_a_rule_a_grace_and_its_turn() -> None:
    """None is forgotten; what starts a workflow comes before what waits for one."""
    assert set(KINDS) == {kind.value for kind in Kind} == {kind.value for kind in GRACE}
    assert KINDS.index("order_without_workflow") < KINDS.index("parked_past_half")
    assert set(OWNERS) == {"ReleaseInventory", "CancelShipment", "VoidAuthorization"}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.PARKED_PAST_HALF])
@pytest.mark.parametrize("runs", ["order", "order_fulfillment", "replenishment"])
def test_what_a_workflow_has_in_hand_is_left_alone(kind: Kind, runs: str) -> None:
    """Whatever its age: workflows wait for days. (Of a parked event the running workflow is what it waited for.)"""
    if (kind is Kind.REPLENISHMENT_WITHOUT_WORKFLOW) != (runs == "replenishment"):
        return
    facts = {**PAID, "order_state": "FAILED", "age_seconds": 60, "awaits": "nothing", "sku": "A", "cycle": 3}
    assert isinstance(decided(kind, facts, **{runs: RUNNING}), Leave)


def test_an_order_whose_parent_is_still_at_work_is_left_alone() -> None:
    """The intake, or the checkout, starts its child before it ends."""
    assert isinstance(decided(Kind.ORDER_WITHOUT_WORKFLOW, DIRECT, order_intake=RUNNING), Leave)
    assert isinstance(decided(Kind.ORDER_WITHOUT_WORKFLOW, PAID, checkout=RUNNING), Leave)


def test_parents_are_looked_at_before_their_children() -> None:
    """Else a child that is started between the two looks would seem to be missing."""
    direct = asks(Candidate(Kind.ORDER_WITHOUT_WORKFLOW, "o", _SINCE, DIRECT))
    assert direct == ("order-intake-r", "order-fulfillment-o")
    paid = asks(Candidate(Kind.ORDER_WITHOUT_WORKFLOW, "o", _SINCE, PAID))
    assert paid == ("checkout-c", "order-o", "payment-o", "order-fulfillment-o")


def test_an_order_without_workflow_gets_the_one_that_it_should_have() -> None:
    """Direct: its fulfillment. Paid: its order workflow, if the checkout was approved and nothing has begun."""
    start = decided(Kind.ORDER_WITHOUT_WORKFLOW, DIRECT, order_intake=CLOSED)
    assert isinstance(start, Start)
    assert (start.workflow_id, start.argument) == ("order-fulfillment-o", {"order_id": "o", "flow": "direct"})
    start = decided(Kind.ORDER_WITHOUT_WORKFLOW, PAID, checkout=CLOSED)
    assert isinstance(start, Start)
    assert (start.workflow_id, start.argument) == ("order-o", {"order_id": "o"})


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        (DIRECT, {"order_fulfillment": CLOSED}),
        (PAID, {"order": CLOSED}),
        (PAID, {"order_fulfillment": CLOSED}),
        ({**PAID, "checkout_state": "REJECTED"}, {}),
        ({**PAID, "checkout_state": None, "checkout_id": None}, {}),
        ({**PAID, "state": "RESERVED"}, {}),
    ],
)
def test_an_order_that_cannot_be_resumed_without_a_second_effect_is_an_alert(
    facts: Mapping[str, Any], found: Mapping[str, Existence]
) -> None:
    """A workflow that has closed is not started again; a paid order only goes on where fraud was ruled out."""
    assert isinstance(decided(Kind.ORDER_WITHOUT_WORKFLOW, facts, **found), Alert)


@pytest.mark.parametrize("order_state", [None, "FAILED", "CANCELLED"])
def test_what_is_held_for_nobody_is_undone_by_its_owner(order_state: str | None) -> None:
    """Stock is released, a shipment cancelled, an authorisation voided."""
    facts = {**PAID, "state": "RESERVED", "order_state": order_state, "age_seconds": 9_000}
    assert decided(Kind.RESERVATION_WITHOUT_ORDER, facts) == AskOwner("ReleaseInventory")
    assert decided(Kind.SHIPMENT_WITHOUT_LABEL, facts) == AskOwner("CancelShipment")
    assert decided(Kind.AUTHORIZATION_OPEN, facts) == AskOwner("VoidAuthorization")


def test_what_can_no_longer_be_undone_is_an_alert() -> None:
    """Stock that was consumed; goods that have left without label or without payment; a label past its clock."""
    gone = {**PAID, "order_state": "CANCELLED", "state": "CONSUMED"}
    assert isinstance(decided(Kind.RESERVATION_WITHOUT_ORDER, gone), Alert)
    left = {**PAID, "order_state": "SHIPPED", "state": "AUTHORIZED", "age_seconds": 10}
    assert isinstance(decided(Kind.SHIPMENT_WITHOUT_LABEL, left), Alert)
    assert isinstance(decided(Kind.AUTHORIZATION_OPEN, left), Alert)
    overdue = {**PAID, "order_state": "RESERVED", "age_seconds": 75 * 60 + 1}
    assert isinstance(decided(Kind.SHIPMENT_WITHOUT_LABEL, overdue, order_fulfillment=RUNNING), Alert)


def test_an_open_order_without_workflow_is_one_finding_only() -> None:
    """Its shipment and its authorisation are left to the kind that starts the workflow or tells of it."""
    open_order = {**PAID, "order_state": "RESERVED", "state": "AUTHORIZED", "age_seconds": 9_000}
    assert isinstance(decided(Kind.SHIPMENT_WITHOUT_LABEL, open_order), Leave)
    assert isinstance(decided(Kind.AUTHORIZATION_OPEN, open_order), Leave)


def test_a_parked_event_is_retried_where_its_workflow_is_there() -> None:
    """Running or closed: the bridge settles it. Not there: a person has half of the time left."""
    facts = {"events": 2, "event_type": "PickCompleted", "deadline": "tomorrow"}
    candidate = Candidate(Kind.PARKED_PAST_HALF, "order-fulfillment-o", _SINCE, facts)
    for existence in (RUNNING, CLOSED):
        found = {"order-fulfillment-o": Found(existence)}
        assert decide(candidate, found) == RetryParked("order-fulfillment-o")
    assert isinstance(decide(candidate, {"order-fulfillment-o": Found(Existence.MISSING)}), Alert)


def test_a_lost_event_is_delivered_to_the_workflow_that_waits_for_it() -> None:
    """Only where the workflow shows that it waits: one step later the event has been taken."""
    reserved = {"flow": "paid", "awaits": "OrderReserved"}
    assert decided(Kind.EVENT_NOT_TAKEN, reserved, order=RUNNING) == Deliver(
        "tidegate.oms.orders.OrderReserved", "o", "order-o"
    )
    assert isinstance(decided(Kind.EVENT_NOT_TAKEN, reserved, order=RUNNING, payment=RUNNING), Leave)
    assert isinstance(decided(Kind.EVENT_NOT_TAKEN, reserved, order=RUNNING, payment=CLOSED), Leave)
    assert isinstance(decided(Kind.EVENT_NOT_TAKEN, reserved), Leave)
    captured = {"flow": "paid", "awaits": "PaymentCaptured"}
    waits = decided(Kind.EVENT_NOT_TAKEN, captured, order_fulfillment=(RUNNING, "WAITING_FOR_PAYMENT"))
    assert waits == Deliver("tidegate.payments.payments.PaymentCaptured", "o", "order-fulfillment-o")
    works = decided(Kind.EVENT_NOT_TAKEN, captured, order_fulfillment=(RUNNING, "RUNNING"))
    assert isinstance(works, Leave)
    delivered = {"flow": "paid", "awaits": "ShipmentDelivered"}
    assert decided(Kind.EVENT_NOT_TAKEN, delivered, order=RUNNING) == TellAgain("order-o")
    assert isinstance(decided(Kind.EVENT_NOT_TAKEN, delivered, order=CLOSED), Leave)


def test_a_lot_that_nobody_waits_for_gets_its_workflow() -> None:
    """A replenishment that was ended by hand is a person's."""
    facts = {"sku": "A", "cycle": 3}
    start = decided(Kind.REPLENISHMENT_WITHOUT_WORKFLOW, facts, subject="A/3")
    assert isinstance(start, Start)
    assert (start.workflow_id, start.argument) == ("replenishment-A-3", facts)
    closed = decided(Kind.REPLENISHMENT_WITHOUT_WORKFLOW, facts, subject="A/3", replenishment=CLOSED)
    assert isinstance(closed, Alert)
    assert spoken(start) == "start replenishment-A-3"
