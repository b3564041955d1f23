"""The language of routes: what a line means, and what is refused before anything is consumed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import temporalio.workflow

from consumers.bridge.checking import Known, check_routes
from consumers.bridge.delivery import Early, Late
from consumers.bridge.requests import Delivery
from consumers.bridge.route import Route, on, park, record
from consumers.bridge.routes import ROUTES
from consumers.bridge.table import RoutingTable
from consumers.errors import (
    DuplicateRouteError,
    ImpossibleConditionError,
    MissingInputError,
    MissingPolicyError,
    RouteError,
    UnknownEventError,
    UnknownFieldError,
    UnknownSignalError,
    UnknownWorkflowError,
    UntakenSignalError,
)
from schemas.envelope import Envelope
from schemas.event import Event
from schemas.events import (
    EVENTS,
    InventoryAllocated,
    OrderConfirmed,
    OrderReserved,
    OrderSubmitted,
    PaymentCaptured,
    PaymentFailed,
    PickCompleted,
    ShipmentDelivered,
)
from tests.bridge_support import NOW, picked
from tidegate.wiring.bridge import checked_routes
from workflows.contracts import SIGNALS, TAKES, WORKFLOWS
from workflows.contracts.base import SignalContract
from workflows.contracts.orders import (
    CANCEL_ORDER,
    ORDER_FULFILLMENT,
    ORDER_INTAKE,
    PICK_COMPLETED,
    PickReport,
)
from workflows.worker import WORKFLOWS as SERVED

GOOD = on(PickCompleted).signal(PICK_COMPLETED).to("f-{order_id}", early=park(hours=24), late=record)
STARTING = on(PickCompleted).signal(PICK_COMPLETED).starting(ORDER_FULFILLMENT, late=record)
CANCELLING = on(PickCompleted).cancel("f-{order_id}", early=park(hours=1), late=record)
KNOWN = Known.of(EVENTS, SIGNALS, {workflow: TAKES.get(workflow, ()) for workflow in WORKFLOWS})


def check(*routes: Route) -> None:
    """Check routes against the catalog and the contracts of this release."""
    check_routes(routes, KNOWN)


def test_a_line_says_it_all() -> None:
    """A route is the data that its line reads as."""
    assert GOOD.event == PickCompleted.TYPE
    assert (GOOD.action, GOOD.target, GOOD.template) == ("signal", "PickCompleted", "f-{order_id}")
    assert GOOD.early is not None
    assert (GOOD.early.action, GOOD.early.patience) == (Early.PARK, timedelta(hours=24))
    assert GOOD.late is Late.RECORD
    assert GOOD.poison == "skip"
    assert GOOD.name == "PickCompleted:signal:PickCompleted"


def test_a_signal_may_start_its_workflow() -> None:
    """The workflow's contract says under which id and on which queue; early it cannot come."""
    assert (STARTING.action, STARTING.target, STARTING.starts) == ("signal_with_start", "PickCompleted", True)
    assert (STARTING.workflow, STARTING.queue) == ("OrderFulfillmentWorkflow", "order-processing")
    assert (STARTING.template, STARTING.early, STARTING.late) == (
        ORDER_FULFILLMENT.id_template,
        None,
        Late.RECORD,
    )
    assert STARTING.name == "PickCompleted:signal_with_start:PickCompleted"
    alone = STARTING.start_alone()
    assert (alone.action, alone.target, alone.late) == ("start", "OrderFulfillmentWorkflow", None)
    check(STARTING)


def test_a_workflow_may_be_cancelled() -> None:
    """A cancellation has no name of its own: the ledger knows it by the id that it is for."""
    assert (CANCELLING.action, CANCELLING.starts) == ("cancel", False)
    assert CANCELLING.name == "PickCompleted:cancel:f-{order_id}"
    check(CANCELLING, GOOD)


def test_a_request_id_is_the_same_for_every_try() -> None:
    """It is made of the event and of what is done for it, and of nothing else."""
    event_id = UUID(int=7)
    found = [Delivery(event_id, route, "f-7", {}).request_id for route in (GOOD, STARTING, CANCELLING)]
    assert found == [f"{event_id}:PickCompleted", f"{event_id}:PickCompleted", f"{event_id}:cancel"]


def test_the_contracts_say_which_signals_a_workflow_takes() -> None:
    """TAKES holds the signals that the workflows' classes have handlers for, neither more nor less."""
    classes = {str(_defined(each).name): each for served in SERVED.values() for each in served}
    handled = {
        contract.name: {str(name) for name in _defined(classes[contract.name]).signals}
        for contract in WORKFLOWS
    }
    assert handled == {
        contract.name: {signal.name for signal in TAKES.get(contract, ())} for contract in WORKFLOWS
    }


def _defined(workflow: type) -> Any:
    return temporalio.workflow._Definition.must_from_class(workflow)


def test_the_routing_table_of_this_release_is_sound() -> None:
    """Every route of the table passes the check that the bridge makes at start."""
    assert checked_routes() is ROUTES


@pytest.mark.parametrize(
    ("route", "error", "words"),
    [
        (replace(GOOD, event="tidegate.wms.warehouse.PickComplete"), UnknownEventError, "PickComplete"),
        (replace(GOOD, target="PickDone"), UnknownSignalError, "PickDone"),
        (replace(GOOD, template="f-{oder_id}"), UnknownFieldError, "oder_id"),
        (replace(GOOD, template="f"), UnknownFieldError, "no field"),
        (replace(GOOD, template="f-{order_id"), UnknownFieldError, "cannot be read"),
        (replace(GOOD, template="f-{}"), UnknownFieldError, "needs the field ''"),
        (replace(GOOD, when={"Flow": "paid"}), ImpossibleConditionError, "Flow"),
        (replace(GOOD, when={"source": "/services/oms"}), ImpossibleConditionError, "source"),
        (
            on(PickCompleted).signal(PICK_COMPLETED).to("order-{order_id}", early=park(hours=1), late=record),
            UntakenSignalError,
            "OrderWorkflow takes no signal PickCompleted, .* it takes OrderReserved, ShipmentDelivered",
        ),
        (
            on(PickCompleted).signal(PICK_COMPLETED).starting(ORDER_INTAKE, late=record),
            UntakenSignalError,
            "it takes none",
        ),
        (
            on(PickCompleted)
            .signal(CANCEL_ORDER)
            .to(ORDER_FULFILLMENT.id_template, early=park(hours=1), late=record),
            MissingInputError,
            "signal CancelOrder needs requested_by",
        ),
        (
            on(PickCompleted).start(ORDER_INTAKE),
            UnknownFieldError,
            "request_id",
        ),
        (
            on(OrderReserved).start(replace(ORDER_INTAKE, id_template="i-{order_id}")),
            MissingInputError,
            "workflow OrderIntakeWorkflow needs currency, customer_id, lines, ordered_at, request_id",
        ),
        (replace(STARTING, workflow="Nobody"), UnknownWorkflowError, "Nobody"),
        (replace(STARTING, target="PickDone"), UnknownSignalError, "PickDone"),
        (
            on(PickCompleted).signal(PICK_COMPLETED).starting(ORDER_FULFILLMENT),
            MissingPolicyError,
            "too late",
        ),
        (on(PickCompleted).cancel("f-{order_id}", late=record), MissingPolicyError, "too early"),
        (on(PickCompleted).cancel("f-{order_id}", early=park(hours=1)), MissingPolicyError, "too late"),
        (
            on(PickCompleted).cancel("f-{oder_id}", early=park(hours=1), late=record),
            UnknownFieldError,
            "oder",
        ),
        (
            on(PickCompleted)
            .signal(SignalContract("PickDone", PickReport))
            .to("f-{order_id}", early=park(hours=1), late=record),
            UnknownSignalError,
            "PickDone",
        ),
        (
            on(PickCompleted).signal(PICK_COMPLETED).to("f-{order_id}", late=record),
            MissingPolicyError,
            "early",
        ),
        (
            on(PickCompleted).signal(PICK_COMPLETED).to("f-{order_id}", early=park(hours=1)),
            MissingPolicyError,
            "late",
        ),
        (
            on(PickCompleted).signal(PICK_COMPLETED).to("f-{order_id}", early=park(), late=record),
            MissingPolicyError,
            "no time",
        ),
    ],
)
def test_a_route_that_cannot_work_is_refused(route: Route, error: type[RouteError], words: str) -> None:
    """Each fault has an error of its own, whose one line names the route and the fault."""
    with pytest.raises(error, match=words) as caught:
        check(GOOD, route)
    assert route.name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_routes_of_one_name_are_refused() -> None:
    """The ledger keeps deliveries by the route's name, so a name stands for one route."""
    with pytest.raises(DuplicateRouteError):
        check(GOOD, replace(GOOD, template="g-{order_id}"))


def test_a_start_needs_no_policy() -> None:
    """A start cannot come before its workflow or after it."""
    check(on(OrderSubmitted).start(ORDER_INTAKE))


def test_the_workflow_id_comes_from_the_event() -> None:
    """The id is the template filled from the event's fields; an empty field gives no id at all."""
    assert GOOD.workflow_id(picked("7")) == "f-7"
    assert GOOD.workflow_id(picked("")) is None


def test_the_table_looks_at_headers_only() -> None:
    """A known type without a route is recognised by its header; a routed or an unknown one is looked at closer."""
    table = RoutingTable(ROUTES, EVENTS)
    assert table.unrouted([("ce_type", OrderConfirmed.TYPE.encode())]) == OrderConfirmed.TYPE
    assert table.unrouted([("ce_type", PickCompleted.TYPE.encode())]) is None
    assert table.unrouted([("ce_type", b"somebody.else.Event")]) is None
    assert table.unrouted([]) is None
    topics = {event.TYPE: event.TOPIC for event in EVENTS}
    assert table.topics == tuple(sorted({topics[route.event] for route in ROUTES}))


@pytest.mark.parametrize(("waited", "routed"), [("true", True), ("false", False), (None, False)])
def test_when_looks_at_an_extension(waited: str | None, routed: bool) -> None:
    """InventoryAllocated is routed only where its order waited for stock."""
    extensions = {} if waited is None else {"waited": waited}
    envelope = Envelope(
        id=UUID(int=7),
        type=InventoryAllocated.TYPE,
        source="/s",
        subject=None,
        time=NOW,
        extensions=extensions,
    )
    assert bool(RoutingTable(ROUTES, EVENTS).wanting(envelope)) is routed


@pytest.mark.parametrize(
    ("event", "workflow"),
    [
        (OrderReserved, "order-o-1"),
        (ShipmentDelivered, "order-o-1"),
        (PaymentCaptured, "order-fulfillment-o-1"),
        (PaymentFailed, "order-fulfillment-o-1"),
    ],
)
def test_what_concerns_paid_orders_only_is_routed_by_their_flow(event: type[Event], workflow: str) -> None:
    """A direct order has no OrderWorkflow and no payment: nothing of it is parked for one. Nor is what is said
    about a payment before there is an order."""
    table = RoutingTable(ROUTES, EVENTS)

    def taken(**extensions: str) -> list[str]:
        envelope = Envelope(UUID(int=1), event.TYPE, "/services/oms", "o-1", NOW, 1, extensions=extensions)
        return [route.template.format(order_id="o-1") for route in table.wanting(envelope)]

    assert taken(flow="paid") == [workflow]
    assert taken(flow="direct") == taken() == []
