"""Seed 001, "Use Temporal for Workflow Orchestration", heading by heading: carts, orders, sagas, queues.

Each test names the heading that it holds the code to. How the workflows behave in time stands in
``tests/integration/test_cart_workflow.py``, ``test_order_workflow.py`` and ``test_order_clocks.py``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow as temporal_workflow
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import RetryPolicy, WorkflowIDConflictPolicy

from tests.order_support import PaidOrder, fulfillment_is, order_is, snapshot_of
from tests.return_support import put
from tests.skipping import SkippingServers
from tests.waiting import until
from tests.workflow_support import World, new_namespace, real_world, running_world, skipping_world
from workflows import policies
from workflows.activities.contracts import cart as cart_activities
from workflows.activities.contracts import order as order_activities
from workflows.cart import CartWorkflow
from workflows.cart_contents import MOST_LINES
from workflows.contracts.base import CART_TASK_QUEUE, ORDER_PROCESSING_QUEUE
from workflows.contracts.cart import CART, CHECK_OUT, SET_ITEM, CartRequest, CartSnapshot, CheckOut, SetItem
from workflows.contracts.order import (
    ORDER,
    ORDER_RESERVED,
    PAYMENT_CAPTURED,
    SHIPMENT_DELIVERED,
    OrderStatus,
)
from workflows.order import OrderWorkflow
from workflows.patches import PATCHES
from workflows.queues import ORDER_TASK_QUEUE, queue_named
from workflows.worker import WORKFLOWS, build_worker


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


# --- Context ------------------------------------------------------------------------------------------


async def test_cart_state_persists_across_user_sessions(
    world: World, temporal_address: str, unique: str
) -> None:
    """ "Context: Cart management": what one session puts into the cart, another session finds and buys."""
    start = WithStartWorkflowOperation[Any, str](
        CART.name,
        CartRequest(unique, "customer-1", "EUR"),
        id=CART.workflow_id(cart_id=unique),
        task_queue=CART.queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
    )
    await world.client.execute_update_with_start_workflow(
        SET_ITEM.name, SetItem("bolt", 2, "1.50"), start_workflow_operation=start
    )
    another_session = await Client.connect(temporal_address, namespace=world.client.namespace)
    cart = another_session.get_workflow_handle(f"cart-{unique}", result_type=str)
    snapshot: CartSnapshot = await cart.query("getSnapshot", result_type=CartSnapshot)
    assert [(line.sku, line.quantity) for line in snapshot.lines] == [("bolt", 2)]
    await cart.execute_update(CHECK_OUT.name, CheckOut("tok_visa"))
    assert await cart.result() == "CHECKED_OUT"


async def test_order_processing(world: World, unique: str) -> None:
    """ "Context: Order processing": orders go through created → confirmed → shipped → delivered."""
    order = PaidOrder(world, unique, silent=(ORDER_RESERVED, PAYMENT_CAPTURED, SHIPMENT_DELIVERED))
    handle = await order.begin()
    seen = []
    for state, next_event in (
        ("CREATED", ORDER_RESERVED),
        ("CONFIRMED", PAYMENT_CAPTURED),
        ("SHIPPED", SHIPMENT_DELIVERED),
    ):
        await order_is(handle, state)
        if state == "CREATED":
            await fulfillment_is(order, "WAITING_FOR_PAYMENT")
        seen.append(await handle.query("getStatus"))
        await order.tell(order.fulfillment if next_event is PAYMENT_CAPTURED else handle, next_event)
    assert [*seen, await handle.result()] == ["CREATED", "CONFIRMED", "SHIPPED", "DELIVERED"]
    assert order.states == ["CREATED", "RESERVED", "CONFIRMED", "SHIPPED", "DELIVERED"]


def test_order_states() -> None:
    """ "Context: Order processing": these states, and the two in which an order ends early."""
    assert [status.value for status in OrderStatus] == [
        "CREATED", "CONFIRMED", "SHIPPED", "DELIVERED", "FAILED", "CANCELLED"
    ]  # fmt: skip


async def test_saga_pattern(world: World, unique: str) -> None:
    """ "Context: Saga pattern": what three services did for an order is undone by all three."""
    order = PaidOrder(world, unique, silent=(PAYMENT_CAPTURED,))
    handle = await order.begin()
    await order_is(handle, "CONFIRMED", "Ship Order")
    await order.cancel()
    assert await handle.result() == "CANCELLED"
    done = world.contexts.effects(unique)
    assert {"AllocateInventory", "CapturePayment", "MarkOrderConfirmed"} <= {*done}
    assert {"ReleaseInventory", "RefundPayment", "MarkOrderCancelled"} <= {*done}
    order.add_up()


def test_automatic_retries() -> None:
    """ "Context: Fault tolerance and automatic retries": no activity of an order or a cart is tried only once."""
    for contract in (order_activities.MARK_ORDER_CONFIRMED, order_activities.MARK_ORDER_DELIVERED):
        policy: RetryPolicy = contract.retry
        assert policy.maximum_attempts != 1
        assert policy.backoff_coefficient > 1


async def test_visibility_into_workflow_state(world: World, unique: str) -> None:
    """ "Context: Visibility into workflow state": a query says the state, the step, and what it waits for."""
    order = PaidOrder(world, unique, silent=(ORDER_RESERVED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PAYMENT")
    snapshot = await snapshot_of(handle)
    assert (snapshot.state, snapshot.step) == ("CREATED", "Reserve Stock")
    assert snapshot.blocking_reason == "waiting for OrderReserved"
    attributes = (await handle.describe()).typed_search_attributes
    shown = {pair.key.name: pair.value for pair in attributes}
    assert shown["TidegateOrderId"] == unique
    assert shown["TidegateStatus"] == "CREATED"


async def test_long_running_processes(clock: World, unique: str) -> None:
    """ "Context: Support for long-running processes (hours/days)": an order that is two months on its way."""
    order = PaidOrder(clock, unique, silent=(SHIPMENT_DELIVERED,))
    handle = await order.begin()
    await clock.environment.sleep(timedelta(days=60))
    await order.tell(handle, SHIPMENT_DELIVERED)
    assert await handle.result() == "DELIVERED"
    assert timedelta(days=7) == policies.CART_IDLE_CLOCK


# --- Decision: Why Temporal ---------------------------------------------------------------------------


async def test_state_survives_restarts(temporal_address: str, unique: str) -> None:
    """ "Why Temporal: Durable Execution": the order workers stop in the middle, others take the order on."""
    async with new_namespace(temporal_address) as empty:
        async with running_world(empty.client, empty.environment) as first:
            order = PaidOrder(first, unique, silent=(PAYMENT_CAPTURED,))
            handle = await order.begin()
            await order_is(handle, "CONFIRMED", "Ship Order")
            # it waits for nobody, and nobody for it
            await until(lambda: "SendConfirmation" in first.contexts.effects(unique), what="it is confirmed")
        async with running_world(empty.client, empty.environment) as second:
            again = PaidOrder(second, unique)
            again.state, again.held, again.captured = order.state, order.held, order.captured
            await again.tell(again.fulfillment, PAYMENT_CAPTURED)
            assert await handle.result() == "DELIVERED"
            assert second.contexts.effects(unique)[0] == "CreatePickWave", "nothing was done again"


# --- Implementation -----------------------------------------------------------------------------------


def test_each_aggregate_has_its_own_workflow() -> None:
    """ "Implementation: Workflows": CartWorkflow and OrderWorkflow, by deterministic ids."""
    assert definition_of(CartWorkflow).name == CART.name == "CartWorkflow"
    assert definition_of(OrderWorkflow).name == ORDER.name == "OrderWorkflow"
    assert CART.workflow_id(cart_id="c-1") == "cart-c-1"
    assert ORDER.workflow_id(order_id="o-1") == "order-o-1"


def test_start_signal_and_query() -> None:
    """ "Implementation: Communication Pattern": both are started, told and asked by names on the wire."""
    assert {"OrderReserved", "ShipmentDelivered"} <= {*definition_of(OrderWorkflow).signals}
    assert {"getStatus", "getSnapshot"} == {*definition_of(OrderWorkflow).queries}
    assert {"setItem", "removeItem", "checkOut"} == {*definition_of(CartWorkflow).updates}
    assert "getSnapshot" in definition_of(CartWorkflow).queries


@pytest.mark.parametrize(
    ("workflow", "queue"), [(CartWorkflow, "CART_TASK_QUEUE"), (OrderWorkflow, "ORDER_TASK_QUEUE")]
)
def test_task_queues(workflow: type, queue: str) -> None:
    """ "Implementation: Task Queues": Cart on CART_TASK_QUEUE, Order on ORDER_TASK_QUEUE."""
    serving = queue_named(queue)
    assert queue in (serving.name, *serving.also)
    assert workflow in WORKFLOWS[serving.name]


async def test_an_order_runs_on_order_task_queue(temporal_address: str, unique: str) -> None:
    """ "Implementation: Task Queues": the order workers poll ORDER_TASK_QUEUE too; an order started there is served."""
    async with (
        new_namespace(temporal_address) as empty,
        running_world(empty.client, empty.environment) as served,
    ):
        order = PaidOrder(served, unique)
        assert ORDER.queue == ORDER_PROCESSING_QUEUE
        assert ORDER_TASK_QUEUE in queue_named(ORDER_PROCESSING_QUEUE).also
        async with build_worker(served.client, ORDER_TASK_QUEUE, strict=True):
            handle = await served.client.start_workflow(
                ORDER.name,
                {"order_id": unique},
                id=ORDER.workflow_id(order_id=unique),
                task_queue=ORDER_TASK_QUEUE,
                result_type=str,
            )
            assert await handle.result() == "DELIVERED"
        order.add_up()


def test_cart_and_order_workers_are_apart() -> None:
    """ "Implementation: Temporal Architecture": a cart worker and an order worker, and none runs both."""
    assert CartWorkflow not in WORKFLOWS[ORDER_PROCESSING_QUEUE]
    assert OrderWorkflow not in WORKFLOWS[CART_TASK_QUEUE]


# --- Consequences -------------------------------------------------------------------------------------


def test_workflow_versioning_is_handled_carefully() -> None:
    """ "Consequences: Risks": every change of a running workflow has a marker, a reason and a day to go."""
    assert all(patch.why and patch.remove_after for patch in PATCHES)


# --- Cart management, as design §7 says it -------------------------------------------------------------


def test_cart_updates_and_query() -> None:
    """ "Communication Pattern": a cart is changed by validated updates, and asked by a query; no signal changes it."""
    cart = definition_of(CartWorkflow)
    assert set(cart.updates) == {"setItem", "removeItem", "checkOut"}
    assert all(update.validator is not None for update in cart.updates.values())
    assert set(cart.queries) == {"getSnapshot"}
    assert cart.signals == {}


def test_cart_numbers() -> None:
    """Design §7: given up after 7 days idle; activities with the standard retries; at most 100 lines."""
    assert timedelta(days=7) == policies.CART_IDLE_CLOCK
    for contract in (cart_activities.HAND_OVER_CART, cart_activities.ABANDON_CART):
        assert contract.retry == policies.STANDARD, contract.name
        assert contract.queue == "oms"
    assert MOST_LINES == 100


async def test_an_idle_cart_is_abandoned(clock: World, unique: str) -> None:
    """Design §7: "abandoned after 7 days idle", and the carts are told so."""
    await put(clock, unique, SetItem("bolt", 2, "1.50"))
    await clock.environment.sleep(timedelta(days=7, minutes=1))
    handle = clock.client.get_workflow_handle(CART.workflow_id(cart_id=unique))
    assert await handle.result() == "ABANDONED"
    assert clock.contexts.effects(unique) == ["AbandonCart"]
