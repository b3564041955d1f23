"""Seed 003, "Temporal Orchestration", heading by heading: names, ids, steps, signals, queries, retries.

Each test names the heading that it holds the code to. How the workflows behave in time stands in
``tests/integration/test_fulfillment_*.py`` and ``test_intake_workflow.py``; what the services guard, in theirs.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow as temporal_workflow
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from infra.ids import order_id_of
from tests.skipping import SkippingServers
from tests.workflow_support import ACTIVITIES, World, reached, real_world, skipping_world, submission
from workflows import policies
from workflows.activities.contracts import orders as activities
from workflows.activities.contracts import replenishment
from workflows.activities.ims import ImsActivities
from workflows.activities.oms import OmsActivities
from workflows.activities.sms import SmsActivities
from workflows.activities.wms import WmsActivities
from workflows.contracts import orders as contracts
from workflows.contracts.orders import ORDER_FULFILLMENT, ORDER_INTAKE
from workflows.contracts.replenishment import REPLENISHMENT
from workflows.order_fulfillment import OrderFulfillmentWorkflow
from workflows.order_intake import IntakeStatus, OrderIntakeWorkflow
from workflows.replenishment import ReplenishmentWorkflow

IMPLEMENTATIONS = {"oms": OmsActivities, "ims": ImsActivities, "wms": WmsActivities, "sms": SmsActivities}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def clock(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped, for one test."""
    async with skipping_world(skipping_servers) as running:
        yield running


def definition_of(workflow: type) -> Any:
    """What Temporal knows of a workflow class."""
    return temporal_workflow._Definition.must_from_class(workflow)


# --- Workflow Inventory -------------------------------------------------------------------------------


def test_workflow_inventory() -> None:
    """ "Workflow Inventory": OrderIntakeWorkflow and OrderFulfillmentWorkflow, by these names on the wire."""
    assert definition_of(OrderIntakeWorkflow).name == ORDER_INTAKE.name == "OrderIntakeWorkflow"
    assert (
        definition_of(OrderFulfillmentWorkflow).name == ORDER_FULFILLMENT.name == "OrderFulfillmentWorkflow"
    )


async def test_workflow_inventory_replenishment(world: World, unique: str) -> None:
    """ "Workflow Inventory": ReplenishmentWorkflow, inventory restock automation: order, wait, receive; by its name."""
    assert definition_of(ReplenishmentWorkflow).name == REPLENISHMENT.name == "ReplenishmentWorkflow"
    assert REPLENISHMENT.workflow_id(sku="A", cycle="3") == "replenishment-A-3"
    assert REPLENISHMENT.queue == "order-processing"
    assert list(definition_of(ReplenishmentWorkflow).signals) == ["ReplenishmentReceived"]
    world.contexts.answer(
        unique, replenishment.ORDER_REPLENISHMENT, lambda _: replenishment.ReplenishmentLot(7)
    )
    handle = await world.client.start_workflow(
        REPLENISHMENT.name,
        {
            "sku": unique,
            "cycle": 1,
            "available": -2,
            "reorder_point": 0,
            "noticed_at": "2026-11-21T10:00:00Z",
        },
        id=f"replenishment-{unique}-1",
        task_queue=REPLENISHMENT.queue,
        result_type=str,
    )
    await handle.signal("ReplenishmentReceived", {"sku": unique, "cycle": 1, "quantity": 7})
    assert await handle.result() == "RECEIVED"
    assert world.contexts.effects(unique) == ["OrderReplenishment", "ReceiveReplenishment"]
    for contract in (
        replenishment.ORDER_REPLENISHMENT,
        replenishment.REMIND_SUPPLIER,
        replenishment.RECEIVE_REPLENISHMENT,
    ):
        assert contract.queue == "ims"
        assert contract.retry == policies.UNLIMITED
    assert timedelta(hours=24) == policies.SUPPLIER_REMINDER


# --- Workflow 1 — OrderIntakeWorkflow -----------------------------------------------------------------


def test_intake_identity() -> None:
    """ "Workflow 1: Workflow Identity": ``order-intake-{requestId}``."""
    assert ORDER_INTAKE.workflow_id(request_id="r-1") == "order-intake-r-1"


def test_intake_inputs() -> None:
    """ "Workflow 1: Inputs": requestId and an OrderIntakeRequest."""
    assert ORDER_INTAKE.input is contracts.OrderIntakeRequest
    assert "request_id" in inspect.signature(contracts.OrderIntakeRequest).parameters


async def test_intake_steps(world: World, unique: str) -> None:
    """ "Workflow 1: Workflow Steps": validate, create, emit OrderCreated, start the fulfillment, complete."""
    order_id = order_id_of(unique)
    handle = await world.take_in(submission(unique), unique)
    await handle.result()
    done = world.contexts.effects(order_id)
    assert done[:3] == ["ValidateOrder", "CreateOrder", "EmitOrderEvent"]
    emitted = next(
        argument for name, argument in world.contexts.arguments[order_id] if name == "EmitOrderEvent"
    )
    assert emitted.event_type == "OrderCreated"
    child = world.client.get_workflow_handle(f"order-fulfillment-{order_id}")
    started = (await child.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.workflow_type.name == "OrderFulfillmentWorkflow"
    assert started.parent_workflow_execution.workflow_id == f"order-intake-{unique}"


def test_intake_activities() -> None:
    """ "Workflow 1: Activities Used": all three belong to OMS."""
    for name in ("ValidateOrder", "CreateOrder", "EmitOrderEvent"):
        assert activity(name).queue == "oms"


async def test_intake_fails_permanently_when_validation_fails(world: World, unique: str) -> None:
    """ "Workflow 1: Failure Modes": validation fails → workflow fails permanently, after one attempt."""

    def invalid(_: object) -> None:
        raise ApplicationError("no lines", type="InvalidOrderError", non_retryable=True)

    world.contexts.answer(order_id_of(unique), activities.VALIDATE_ORDER, invalid)
    handle = await world.take_in(submission(unique), unique)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert [name for name, _ in world.contexts.arguments[order_id_of(unique)]] == ["ValidateOrder"]


async def test_intake_is_reused_for_a_duplicate_request_id(world: World, unique: str) -> None:
    """ "Workflow 1: Failure Modes": duplicate requestId → existing workflow reused."""
    await (await world.take_in(submission(unique), unique)).result()
    with pytest.raises(WorkflowAlreadyStartedError):
        await world.take_in(submission(unique), unique)


def test_intake_status_query() -> None:
    """ "Workflow 1: Queries": getStatus() → RECEIVED / VALIDATED / CREATED / FAILED."""
    assert list(definition_of(OrderIntakeWorkflow).queries) == ["getStatus"]
    assert [status.value for status in IntakeStatus] == ["RECEIVED", "VALIDATED", "CREATED", "FAILED"]


def test_intake_is_bounded() -> None:
    """ "Workflow 1: Workflow Identity": infinite retry, bounded by the workflow's timeout."""
    assert policies.UNLIMITED.maximum_attempts == 0
    assert timedelta(days=7) == policies.INTAKE_CLOCK


# --- Workflow 2 — OrderFulfillmentWorkflow ------------------------------------------------------------


def test_fulfillment_identity() -> None:
    """ "Workflow 2: Workflow Identity": ``order-fulfillment-{orderId}``."""
    assert ORDER_FULFILLMENT.workflow_id(order_id="o-1") == "order-fulfillment-o-1"


def test_fulfillment_input() -> None:
    """ "Workflow 2: Inputs": orderId; the flow beside it has a default. "Temporal owns intent, not data"."""
    parameters = inspect.signature(contracts.FulfillmentRequest).parameters
    assert list(parameters) == ["order_id", "flow"]
    assert parameters["flow"].default == "direct"


async def test_fulfillment_steps(world: World, unique: str) -> None:
    """ "Workflow 2: Workflow Steps (Happy Path)": the ten steps by their names, in their order."""
    seen: list[str] = []
    handle = await world.fulfil(unique)

    async def note_step(_: object) -> None:
        seen.append(await handle.query("getCurrentStep"))

    for name in ("MarkOrderReserved", "ConsumeInventory", "ConfirmShipment", "MarkOrderShipped"):
        world.contexts.answer(unique, activity(name), note_step)
    await reached(handle, "WAITING_FOR_PICK")
    seen.append(await handle.query("getCurrentStep"))
    await handle.signal("PickCompleted", {"order_id": unique})
    await reached(handle, "WAITING_FOR_PACK")
    seen.append(await handle.query("getCurrentStep"))
    await handle.signal("PackCompleted", {"order_id": unique})
    assert await handle.result() == "SHIPPED"
    assert world.contexts.effects(unique) == [
        "AllocateInventory",
        "MarkOrderReserved",
        "CreatePickWave",
        "ConsumeInventory",
        "CreateShipment",
        "GenerateShippingLabel",
        "ConfirmShipment",
        "MarkOrderShipped",
    ]
    steps = [
        "Allocate Inventory",
        "Mark Order Reserved",
        "Create Pick Wave",
        "Wait for Pick Completion",
        "Consume Inventory",
        "Pack Order",
        "Create Shipment",
        "Generate Shipping Label",
        "Confirm Shipment",
        "Mark Order Shipped",
    ]
    assert seen == sorted(seen, key=steps.index)
    assert [step for step, _ in OrderFulfillmentWorkflow(contracts_input(unique))._steps] == steps


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("AllocateInventory", "ims"),
        ("ConsumeInventory", "ims"),
        ("MarkOrderReserved", "oms"),
        ("MarkOrderShipped", "oms"),
        ("CreatePickWave", "wms"),
        ("CreateShipment", "sms"),
        ("GenerateShippingLabel", "sms"),
        ("ConfirmShipment", "sms"),
    ],
)
def test_fulfillment_activities(name: str, owner: str) -> None:
    """ "Workflow 2: Activities Used": each by its name, on the queue of the service that owns it."""
    assert activity(name).queue == owner


@pytest.mark.parametrize("signal", ["PickCompleted", "PackCompleted", "CancelOrder"])
def test_fulfillment_signals(signal: str) -> None:
    """ "Workflow 2: Signals": these names on the wire."""
    assert signal in definition_of(OrderFulfillmentWorkflow).signals


def test_fulfillment_queries() -> None:
    """ "Workflow 2: Queries": getFulfillmentStatus(), getCurrentStep(), getBlockingReason()."""
    assert set(definition_of(OrderFulfillmentWorkflow).queries) == {
        "getFulfillmentStatus",
        "getCurrentStep",
        "getBlockingReason",
    }


# --- Cancellation & Compensation ----------------------------------------------------------------------


async def test_inventory_allocation_fails(world: World, unique: str) -> None:
    """ "Cancellation & Compensation": inventory allocation fails → mark order FAILED."""
    failed = activities.AllocationResult("FAILED", "unknown item")
    world.contexts.answer(unique, activities.ALLOCATE_INVENTORY, lambda _: failed)
    assert await (await world.fulfil(unique)).result() == "FAILED"
    assert world.contexts.effects(unique) == ["AllocateInventory", "MarkOrderFailed"]


async def test_pick_never_completes(clock: World, unique: str) -> None:
    """ "Cancellation & Compensation": pick never completes → timeout → release inventory."""
    assert await (await clock.fulfil(unique)).result() == "FAILED"
    assert "ReleaseInventory" in clock.contexts.effects(unique)


async def test_shipment_fails(clock: World, unique: str) -> None:
    """ "Cancellation & Compensation": shipment fails → retry the label, or fail the order."""

    def refuse(_: object) -> None:
        raise RuntimeError("no label")

    clock.contexts.answer(unique, activities.GENERATE_SHIPPING_LABEL, refuse)
    handle = await clock.fulfil(unique)
    await handle.signal("PickCompleted", {"order_id": unique})
    await handle.signal("PackCompleted", {"order_id": unique})
    assert await handle.result() == "FAILED"
    tried = [name for name, _ in clock.contexts.arguments[unique]]
    assert tried.count("GenerateShippingLabel") > 1
    assert tried[-1] == "MarkOrderFailed"


async def test_order_cancelled(world: World, unique: str) -> None:
    """ "Cancellation & Compensation": order cancelled → release inventory + cancel shipment, as far as they are."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    await handle.signal("CancelOrder", {"order_id": unique, "requested_by": "admin"})
    assert await handle.result() == "CANCELLED"
    assert world.contexts.effects(unique)[3:] == ["CancelPickWave", "ReleaseInventory", "MarkOrderCancelled"]


async def test_inventory_allocation_fails_while_the_order_waits(world: World, unique: str) -> None:
    """ "Cancellation & Compensation": the same, when an item is discontinued under a waiting order."""
    waiting = activities.AllocationResult("WAITING", "waiting for A")
    world.contexts.answer(unique, activities.ALLOCATE_INVENTORY, lambda _: waiting)
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_STOCK")
    refusal = {"order_id": unique, "code": "DISCONTINUED", "reason": "no longer kept: A", "skus": ["A"]}
    await handle.signal("AllocationFailed", refusal)
    assert await handle.result() == "FAILED"
    assert world.contexts.effects(unique) == ["AllocateInventory", "MarkOrderFailed"]
    (failure,) = [
        argument for name, argument in world.contexts.arguments[unique] if name == "MarkOrderFailed"
    ]
    assert (failure.code, failure.reason) == ("ALLOCATION_FAILED", "no longer kept: A")


# --- Retry & Timeout Philosophy -----------------------------------------------------------------------


def test_activities_are_retried_with_exponential_backoff() -> None:
    """ "Retry & Timeout Philosophy: Activities": enabled, exponential: 1 s, doubled up to 1 min, without limit."""
    policy = policies.UNLIMITED
    assert (policy.initial_interval, policy.backoff_coefficient) == (timedelta(seconds=1), 2.0)
    assert (policy.maximum_interval, policy.maximum_attempts) == (timedelta(minutes=1), 0)


def test_errors_that_are_not_retried() -> None:
    """ "Retry & Timeout Philosophy: Non-retryable errors": validation errors, illegal state transitions."""
    assert {"InvalidOrderError", "IllegalTransitionError"} <= set(policies.NOT_RETRIED)


def test_timeouts_of_activities() -> None:
    """Core principle 3, "timeouts are explicit": one attempt takes 5 to 60 s at most (000, "Timeouts")."""
    for contract in ACTIVITIES:
        assert timedelta(seconds=5) <= contract.start_to_close <= timedelta(seconds=60), contract.name


def test_clocks() -> None:
    """ "Retry & Timeout Philosophy: Workflows": prefer waiting over failing; the clocks are design §7's."""
    hours = (policies.STOCK_CLOCK, policies.PICK_CLOCK, policies.PACK_CLOCK, policies.LABEL_CLOCK)
    assert hours == tuple(timedelta(hours=count) for count in (72, 24, 24, 1))


# --- Idempotency Strategy -----------------------------------------------------------------------------


async def test_workflow_start_is_idempotent(world: World, unique: str) -> None:
    """ "Idempotency Strategy: Workflow start": deterministic workflowId; a second start finds the first."""
    await world.fulfil(unique)
    with pytest.raises(WorkflowAlreadyStartedError):
        await world.fulfil(unique)


async def test_signals_are_idempotent(world: World, unique: str) -> None:
    """ "Idempotency Strategy: Signals": idempotent handlers; the same fact again changes nothing."""
    handle = await world.fulfil(unique)
    for _ in range(3):
        await handle.signal("PickCompleted", {"order_id": unique})
        await handle.signal("PackCompleted", {"order_id": unique})
    assert await handle.result() == "SHIPPED"
    done = world.contexts.effects(unique)
    assert len(done) == len(set(done)) == 8


# --- Ownership Boundaries -----------------------------------------------------------------------------


def test_ownership_boundaries() -> None:
    """ "Ownership Boundaries": each context implements the activities of its own queue, and no other."""
    for queue, implementation in IMPLEMENTATIONS.items():
        defined = {
            getattr(method, "__temporal_activity_definition").name
            for method in vars(implementation).values()
            if hasattr(method, "__temporal_activity_definition")
        }
        assert defined == {contract.name for contract in ACTIVITIES if contract.queue == queue}


def activity(name: str) -> Any:
    """The activity of that name on the wire."""
    return next(contract for contract in ACTIVITIES if contract.name == name)


def contracts_input(order_id: str) -> Any:
    """What the workflow takes, made from what others start it with."""
    from workflows.fulfillment_progress import FulfillmentInput

    return FulfillmentInput(contracts.FulfillmentRequest(order_id).order_id)
