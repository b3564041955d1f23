"""OrderWorkflow: created → confirmed → shipped → delivered, and what becomes of the money where it ends elsewhere.

Its children are the real fulfillment and payment; the contexts are fakes that keep books (``tests/order_support``).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from infra.ids import derived_id
from tests.order_support import AFTER, BEFORE, PaidOrder, fulfillment_is, order_is, snapshot_of
from tests.waiting import until
from tests.workflow_support import World, asked, real_world
from workflows.activities.contracts import order as order_activities
from workflows.activities.contracts import orders as activities
from workflows.activities.contracts import payment as payment_activities
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.payment import RefundRequest
from workflows.contracts.order import GET_STATUS, ORDER_RESERVED, PAYMENT_CAPTURED, SHIPMENT_DELIVERED
from workflows.contracts.orders import PACK_COMPLETED, PICK_COMPLETED
from workflows.worker import WorkerLimits

FLOOD = 12


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address, WorkerLimits(signals_per_run=FLOOD)) as running:
        yield running


def money(order: PaidOrder) -> list[str]:
    """What was done to the order's money, in order."""
    names = ("CapturePayment", "FailPayment", "VoidAuthorization", "RefundPayment")
    return [name for name in order.world.contexts.effects(order.order_id) if name in names]


async def parent_of(world: World, workflow_id: str) -> str:
    """The id of the workflow that started it as a child."""
    history = await world.client.get_workflow_handle(workflow_id).fetch_history()
    started = history.events[0].workflow_execution_started_event_attributes
    return str(started.parent_workflow_execution.workflow_id)


async def asked_to_stop(order: PaidOrder) -> None:
    """Return once the order's payment has been asked to cancel."""

    async def is_asked() -> bool:
        events = (await order.payment.fetch_history()).events
        return any(event.HasField("workflow_execution_cancel_requested_event_attributes") for event in events)

    await until(is_asked)


# --- The way to the customer --------------------------------------------------------------------------


async def test_an_order_is_paid_for_confirmed_shipped_and_delivered(world: World, unique: str) -> None:
    """Each state once and in order; its payment and its fulfillment are its children; the books add up."""
    order = PaidOrder(world, unique)
    handle = await order.begin()
    assert await handle.result() == "DELIVERED"
    assert order.states == ["CREATED", "RESERVED", "CONFIRMED", "SHIPPED", "DELIVERED"]
    assert money(order) == ["CapturePayment"]
    assert order.confirmations == 1
    for child in (f"payment-{unique}", f"order-fulfillment-{unique}"):
        assert await parent_of(world, child) == f"order-{unique}"
    assert await handle.query(GET_STATUS) == "DELIVERED"
    assert (await snapshot_of(handle)).payment == "CAPTURED"
    order.add_up()


async def test_no_goods_are_picked_before_they_are_paid_for(world: World, unique: str) -> None:
    """The fulfillment stops after MarkOrderReserved until PaymentCaptured; the event may be late."""
    order = PaidOrder(world, unique, silent=(PAYMENT_CAPTURED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PAYMENT")
    await order_is(handle, "CONFIRMED", "Ship Order")
    assert "waiting for PaymentCaptured until" in await order.fulfillment.query("getBlockingReason")
    assert await order.fulfillment.query("getCurrentStep") == "Wait for Payment"
    assert "CreatePickWave" not in world.contexts.effects(unique)
    await order.tell(order.fulfillment, PAYMENT_CAPTURED)
    assert await handle.result() == "DELIVERED"


async def test_nothing_is_taken_before_the_stock_is_reserved(world: World, unique: str) -> None:
    """The payment starts with OrderReserved, not before."""
    order = PaidOrder(world, unique, silent=(ORDER_RESERVED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PAYMENT")
    snapshot = await snapshot_of(handle)
    assert (snapshot.state, snapshot.payment) == ("CREATED", "AUTHORIZED")
    assert snapshot.blocking_reason == "waiting for OrderReserved"
    assert order.attempts(payment_activities.CAPTURE_PAYMENT) == 0
    await order.tell(handle, ORDER_RESERVED)
    assert await handle.result() == "DELIVERED"


async def test_a_delivery_may_be_reported_before_the_shipment_is_known(world: World, unique: str) -> None:
    """Signals are facts: one that is early is there when it is waited for."""
    order = PaidOrder(world, unique, silent=(SHIPMENT_DELIVERED, PAYMENT_CAPTURED))
    handle = await order.begin()
    await order.tell(handle, SHIPMENT_DELIVERED, shipment_id="early")
    await order_is(handle, "CONFIRMED")
    await order.tell(order.fulfillment, PAYMENT_CAPTURED)
    assert await handle.result() == "DELIVERED"
    delivered = dict(world.contexts.arguments[unique])["MarkOrderDelivered"]
    assert delivered.shipment_id == "early"


async def test_nobody_waits_for_the_confirmation(world: World, unique: str) -> None:
    """Fire-and-forget (002): an order is delivered while its confirmation hangs, and although it fails."""
    order = PaidOrder(world, unique)
    let_go = world.contexts.hold(unique, order_activities.SEND_CONFIRMATION)
    assert await (await order.begin()).result() == "DELIVERED"
    let_go.set()
    failing = PaidOrder(world, f"{unique}-2")
    failing.refuse(order_activities.SEND_CONFIRMATION, "NotifierError")
    assert await (await failing.begin()).result() == "DELIVERED"
    assert (order.confirmations, failing.confirmations) == (0, 0)


async def test_a_flood_of_signals_makes_a_shipped_order_continue_as_new(world: World, unique: str) -> None:
    """The next run waits for the same delivery, and knows what became of the payment."""
    order = PaidOrder(world, unique, silent=(SHIPMENT_DELIVERED,))
    handle = await order.begin()
    await order_is(handle, "SHIPPED", "Deliver Order")
    first = (await handle.describe()).run_id
    for number in range(FLOOD):
        await order.tell(handle, ORDER_RESERVED, f"again-{number}")

    async def has_continued() -> bool:
        return (await handle.describe()).run_id != first

    await until(has_continued)
    snapshot = await snapshot_of(handle)
    assert (snapshot.state, snapshot.payment) == ("SHIPPED", "CAPTURED")
    assert snapshot.blocking_reason == "waiting for ShipmentDelivered"
    await order.tell(handle, SHIPMENT_DELIVERED)
    assert await handle.result() == "DELIVERED"
    assert order.states[-2:] == ["SHIPPED", "DELIVERED"]


async def test_signals_that_cannot_be_used_are_noted(world: World, unique: str) -> None:
    """Nothing, too much, another order: recorded where the query shows it, and nothing happens."""
    order = PaidOrder(world, unique, silent=(SHIPMENT_DELIVERED,))
    handle = await order.begin()
    await order_is(handle, "SHIPPED")
    for arguments in ([], ["x", "y"], [{"order_id": "of-somebody-else"}]):
        await handle.signal(SHIPMENT_DELIVERED.name, args=arguments)

    async def noted() -> bool:
        return len((await snapshot_of(handle)).signal_failures) == 3

    await until(noted)
    assert (await snapshot_of(handle)).state == "SHIPPED"
    await order.tell(handle, SHIPMENT_DELIVERED)
    assert await handle.result() == "DELIVERED"


# --- Payments that come to nothing --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("refuses", "kind", "code"),
    [
        (payment_activities.CAPTURE_PAYMENT, "InsufficientFundsError", "PAYMENT_INSUFFICIENT_FUNDS"),
        (payment_activities.CHECK_FRAUD_V2, "FraudDetectedError", "PAYMENT_FRAUD"),
    ],
    ids=["capture", "fraud"],
)
async def test_an_order_whose_payment_fails_is_failed_and_its_stock_released(
    world: World, unique: str, refuses: ActivityContract[Any, Any], kind: str, code: str
) -> None:
    """PaymentFailed reaches the fulfillment, which releases and fails the order; nothing stays held."""
    order = PaidOrder(world, unique)
    for contract in (refuses, payment_activities.CHECK_FRAUD) if "Fraud" in kind else (refuses,):
        if contract is payment_activities.CAPTURE_PAYMENT:
            order.refuse(contract, kind)
        else:
            world.contexts.answer(unique, contract, _raising(kind))
    handle = await order.begin()
    assert await handle.result() == "FAILED"
    effects = world.contexts.effects(unique)
    assert effects.index("ReleaseInventory") < effects.index("MarkOrderFailed")
    assert dict(world.contexts.arguments[unique])["MarkOrderFailed"].code == code
    assert "CreatePickWave" not in effects
    assert (await snapshot_of(handle)).payment == "VOIDED"
    order.add_up()


def _raising(kind: str) -> Any:
    def answer(_: object) -> None:
        raise ApplicationError("no", type=kind, non_retryable=True)

    return answer


async def test_an_order_without_stock_is_never_charged(world: World, unique: str) -> None:
    """Allocation fails for good: the authorisation is voided, and no payment begins."""
    order = PaidOrder(world, unique)
    failed = activities.AllocationResult("FAILED", "unknown item")
    world.contexts.answer(unique, activities.ALLOCATE_INVENTORY, lambda _: failed)
    assert await (await order.begin()).result() == "FAILED"
    assert money(order) == ["VoidAuthorization"]
    order.add_up()


# --- Cancelled at every stage -------------------------------------------------------------------------


async def test_cancelled_before_anything_was_done(world: World, unique: str) -> None:
    """While the stock is being reserved: released, voided, nothing taken."""
    order = PaidOrder(world, unique)
    let_go = world.contexts.hold(unique, activities.ALLOCATE_INVENTORY)
    handle = await order.begin()
    await asked(world.contexts, unique, activities.ALLOCATE_INVENTORY)
    await order.cancel()
    let_go.set()
    assert await handle.result() == "CANCELLED"
    assert money(order) == ["VoidAuthorization"]
    order.add_up()


async def test_cancelled_after_the_stock_was_reserved(world: World, unique: str) -> None:
    """Before its payment has begun: released, voided, nothing taken."""
    order = PaidOrder(world, unique, silent=(ORDER_RESERVED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PAYMENT")
    await order.cancel()
    assert await handle.result() == "CANCELLED"
    assert money(order) == ["VoidAuthorization"]
    assert "ReleaseInventory" in world.contexts.effects(unique)
    order.add_up()


async def test_cancelled_while_the_payment_is_checked(world: World, unique: str) -> None:
    """The payment is stopped before it takes anything, and its end is awaited."""
    order = PaidOrder(world, unique)
    holds = [
        world.contexts.hold(unique, contract)
        for contract in (payment_activities.CHECK_FRAUD, payment_activities.CHECK_FRAUD_V2)
    ]
    handle = await order.begin()
    await until(lambda: any("CheckFraud" in name for name, _ in world.contexts.arguments[unique]))
    await order.cancel()
    await asked_to_stop(order)
    for let_go in holds:
        let_go.set()
    assert await handle.result() == "CANCELLED"
    assert order.captured == 0
    assert money(order)[-1] == "VoidAuthorization"
    payment = await order.payment.describe()
    assert payment.status is WorkflowExecutionStatus.CANCELED
    order.add_up()


async def test_cancelled_while_the_money_is_taken(world: World, unique: str) -> None:
    """The race: OMS has the order CANCELLED, and then the capture succeeds. The money goes back."""
    order = PaidOrder(world, unique)
    take = order.hold(payment_activities.CAPTURE_PAYMENT)
    handle = await order.begin()
    await asked(world.contexts, unique, payment_activities.CAPTURE_PAYMENT)
    await order.cancel()
    await asked_to_stop(order)
    assert order.state == "CANCELLED"
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING, (
        "it waits for the capture's end"
    )
    take.set()
    assert await handle.result() == "CANCELLED"
    assert order.captured == order.refunded > 0
    assert [name for name in money(order) if name != "FailPayment"] == ["CapturePayment", "RefundPayment"]
    order.add_up()


@pytest.mark.parametrize(
    "silent", [PAYMENT_CAPTURED, PICK_COMPLETED, PACK_COMPLETED], ids=lambda signal: f"before {signal.name}"
)
async def test_cancelled_after_the_money_was_taken(world: World, unique: str, silent: Any) -> None:
    """Confirmed, not shipped: the stock goes back, and the money, once, under the refund's one id."""
    order = PaidOrder(world, unique, silent=(silent,))
    handle = await order.begin()
    await order_is(handle, "CONFIRMED", "Ship Order")
    await order.cancel()
    assert await handle.result() == "CANCELLED"
    assert money(order) == ["CapturePayment", "RefundPayment"]
    refund = dict(world.contexts.arguments[unique])["RefundPayment"]
    assert refund == RefundRequest(unique, str(derived_id("refund", unique)))
    assert (await snapshot_of(handle)).payment == "REFUNDED"
    order.add_up()


async def test_cancelled_after_it_was_shipped_is_refused(world: World, unique: str) -> None:
    """Past ConfirmShipment the fulfillment refuses; the order goes on to its customer and stays paid."""
    order = PaidOrder(world, unique)
    let_go = order.hold(activities.MARK_ORDER_SHIPPED)
    handle = await order.begin()
    await asked(world.contexts, unique, activities.MARK_ORDER_SHIPPED)
    await order.cancel()
    await asked(world.contexts, unique, activities.REFUSE_CANCELLATION)
    let_go.set()
    assert await handle.result() == "DELIVERED"
    assert money(order) == ["CapturePayment"]
    order.add_up()


async def test_cancelled_in_temporal_it_asks_the_one_target_of_a_cancellation(
    world: World, unique: str
) -> None:
    """Its fulfillment is told, compensates, and the order gives the money back before it ends cancelled."""
    order = PaidOrder(world, unique, silent=(PAYMENT_CAPTURED,))
    handle = await order.begin()
    await order_is(handle, "CONFIRMED", "Ship Order")
    await handle.cancel(reason="wrong order")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert order.state == "CANCELLED"
    assert money(order) == ["CapturePayment", "RefundPayment"]
    order.add_up()


async def test_cancelled_in_temporal_after_it_was_shipped_is_refused(world: World, unique: str) -> None:
    """Nothing that is under way to a customer is given up; the refusal is on record."""
    order = PaidOrder(world, unique, silent=(SHIPMENT_DELIVERED,))
    handle = await order.begin()
    await order_is(handle, "SHIPPED", "Deliver Order")
    await handle.cancel()
    await asked(world.contexts, unique, activities.REFUSE_CANCELLATION)
    await order.tell(handle, SHIPMENT_DELIVERED)
    assert await handle.result() == "DELIVERED"
    order.add_up()


# --- Faults -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("faults", [[BEFORE], [AFTER], [BEFORE, AFTER]], ids="-".join)
@pytest.mark.parametrize(
    "activity",
    [payment_activities.REFUND_PAYMENT, activities.CANCEL_PICK_WAVE, activities.RELEASE_INVENTORY],
    ids=lambda contract: contract.name,
)
async def test_a_compensation_that_fails_is_tried_until_it_has_succeeded(
    world: World, unique: str, activity: ActivityContract[Any, Any], faults: list[str]
) -> None:
    """Before or after its effect, also several times: the money is given back, once."""
    order = PaidOrder(world, unique, silent=(PICK_COMPLETED,))
    order.faulty(activity)
    order.faults[activity.name] = list(faults)
    handle = await order.begin()
    await order_is(handle, "CONFIRMED", "Ship Order")
    await fulfillment_is(order, "WAITING_FOR_PICK")
    await order.cancel()
    assert await handle.result() == "CANCELLED"
    assert order.attempts(activity) == len(faults) + 1
    order.add_up()


@pytest.mark.parametrize("faults", [[BEFORE], [AFTER], [BEFORE, AFTER]], ids="-".join)
async def test_a_void_that_fails_is_tried_until_it_has_succeeded(
    world: World, unique: str, faults: list[str]
) -> None:
    """Before or after its effect: nothing stays held."""
    order = PaidOrder(world, unique, silent=(ORDER_RESERVED,))
    order.faults["VoidAuthorization"] = list(faults)
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PAYMENT")
    await order.cancel()
    assert await handle.result() == "CANCELLED"
    assert order.attempts(payment_activities.VOID_AUTHORIZATION) == len(faults) + 1
    order.add_up()


async def test_a_capture_whose_answers_are_all_lost_is_found_to_have_succeeded(
    world: World, unique: str
) -> None:
    """Every attempt took effect and none said so: FailPayment finds the money taken, and the order goes on."""
    order = PaidOrder(world, unique)
    order.faults["CapturePayment"] = [AFTER] * 5
    assert await (await order.begin()).result() == "DELIVERED"
    assert order.captured > 0
    order.add_up()


async def test_a_refund_that_is_refused_for_good_fails_the_workflow(world: World, unique: str) -> None:
    """A person has to look: the order is cancelled and its money is still here."""
    order = PaidOrder(world, unique, silent=(PAYMENT_CAPTURED,))
    order.refuse(payment_activities.REFUND_PAYMENT, "RefundRefusedError")
    handle = await order.begin()
    await order_is(handle, "CONFIRMED", "Ship Order")
    await order.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert "CompensationRefusedError" in repr(failure.value.cause)
    with pytest.raises(AssertionError):
        order.add_up()


async def test_a_fulfillment_that_broke_off_after_failing_the_order_gives_the_money_back(
    world: World, unique: str
) -> None:
    """Its workflow failed over a compensation, but OMS has the order CANCELLED: the refund does not wait for it."""
    order = PaidOrder(world, unique, silent=(PICK_COMPLETED,))
    world.contexts.answer(unique, activities.CANCEL_PICK_WAVE, _raising("IllegalTransitionError"))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PICK")
    await order_is(handle, "CONFIRMED", "Ship Order")
    await order.cancel()
    assert await handle.result() == "CANCELLED"
    assert money(order) == ["CapturePayment", "RefundPayment"]
    order.add_up()


async def test_a_fulfillment_that_broke_off_with_the_order_open_is_left_to_a_person(
    world: World, unique: str
) -> None:
    """Whether the goods are gone is not known, so nobody's money is moved; the workflow fails and says so."""
    order = PaidOrder(world, unique, silent=(PICK_COMPLETED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PICK")
    await order_is(handle, "CONFIRMED", "Ship Order")
    await order.fulfillment.terminate("by hand")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert "left the order CONFIRMED, its payment CAPTURED" in str(failure.value.cause)
    assert money(order) == ["CapturePayment"]


async def test_a_confirmation_that_comes_after_the_cancellation_is_no_fault(
    world: World, unique: str
) -> None:
    """MarkOrderConfirmed is refused because the order is CANCELLED by then: refunded, and nothing to look at."""
    order = PaidOrder(world, unique, silent=(PAYMENT_CAPTURED,))
    let_go = order.hold(order_activities.MARK_ORDER_CONFIRMED)
    handle = await order.begin()
    await asked(world.contexts, unique, order_activities.MARK_ORDER_CONFIRMED)
    await order.cancel()
    await until(lambda: order.state == "CANCELLED")
    let_go.set()
    assert await handle.result() == "CANCELLED"
    assert order.confirmations == 0
    order.add_up()
