"""The lives of a paid order, and of its fulfillment, whose histories are kept."""

from __future__ import annotations

from typing import Final

from tests.order_support import AFTER, BEFORE, Handle, PaidOrder, fulfillment_is, order_is
from tests.waiting import until
from tests.workflow_support import World, asked
from workflows.activities.contracts import order as order_activities
from workflows.activities.contracts import orders as activities
from workflows.activities.contracts import payment as payment_activities
from workflows.contracts.order import (
    ORDER_RESERVED,
    PAYMENT_CAPTURED,
    PAYMENT_FAILED,
    SHIPMENT_DELIVERED,
    PaymentFailureNotice,
)
from workflows.contracts.orders import ORDER_FULFILLMENT, PICK_COMPLETED, FulfillmentRequest

FLOOD = 20
"""After how many signals the recorder's workers ask a run to end (``tests.replay.scenarios``)."""


# --- OrderWorkflow ------------------------------------------------------------------------------------


async def delivered(world: World, order_id: str) -> Handle:
    """Straight to its customer."""
    return await PaidOrder(world, order_id).begin()


async def delivered_although_every_service_was_away(world: World, order_id: str) -> Handle:
    """Rounds of attempts that are used up, captures whose answers are lost, a confirmation nobody sent."""
    order = PaidOrder(world, order_id)
    order.faults["MarkOrderConfirmed"] = [BEFORE] * 7
    order.faults["MarkOrderDelivered"] = [AFTER] * 4
    order.faults["CapturePayment"] = [AFTER] * 5
    order.refuse(order_activities.SEND_CONFIRMATION, "NotifierError")
    return await order.begin()


async def delivered_after_it_was_overdue(world: World, order_id: str) -> Handle:
    """Two months on its way, with a flood of signals in between: two runs."""
    order = PaidOrder(world, order_id, silent=(SHIPMENT_DELIVERED,))
    handle = await order.begin()
    await order_is(handle, "SHIPPED", "Deliver Order")
    first = (await handle.describe()).run_id
    for number in range(FLOOD):
        await order.tell(handle, ORDER_RESERVED, f"again-{number}")

    async def has_continued() -> bool:
        return (await handle.describe()).run_id != first

    await until(has_continued)
    await world.environment.sleep(60 * 24 * 3600)
    await handle.signal(SHIPMENT_DELIVERED.name, {"order_id": "of-somebody-else"})
    await order.tell(handle, SHIPMENT_DELIVERED)
    return handle


async def delivered_although_cancelled_in_temporal(world: World, order_id: str) -> Handle:
    """Shipped by then: refused."""
    order = PaidOrder(world, order_id, silent=(SHIPMENT_DELIVERED,))
    handle = await order.begin()
    await order_is(handle, "SHIPPED", "Deliver Order")
    await handle.cancel()
    await asked(world.contexts, order_id, activities.REFUSE_CANCELLATION)
    await order.tell(handle, SHIPMENT_DELIVERED)
    return handle


async def failed_without_stock_to_pay_for(world: World, order_id: str) -> Handle:
    """Allocation fails for good: voided."""
    order = PaidOrder(world, order_id)
    order.faults["VoidAuthorization"] = [BEFORE, AFTER]
    failed = activities.AllocationResult("FAILED", "unknown item")
    world.contexts.answer(order_id, activities.ALLOCATE_INVENTORY, lambda _: failed)
    return await order.begin()


async def failed_unpaid(world: World, order_id: str) -> Handle:
    """The provider says no when the money is taken."""
    order = PaidOrder(world, order_id)
    order.refuse(payment_activities.CAPTURE_PAYMENT, "InsufficientFundsError")
    return await order.begin()


async def failed_although_paid(world: World, order_id: str) -> Handle:
    """PaymentCaptured never arrives: after its clock the money goes back."""
    order = PaidOrder(world, order_id, silent=(PAYMENT_CAPTURED,))
    order.faults["RefundPayment"] = [BEFORE, AFTER]
    return await order.begin()


async def cancelled_before_its_payment(world: World, order_id: str) -> Handle:
    """The stock is reserved, and the event that says so has not come."""
    order = PaidOrder(world, order_id, silent=(ORDER_RESERVED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PAYMENT")
    await order.cancel()
    return handle


async def cancelled_while_the_money_was_taken(world: World, order_id: str) -> Handle:
    """The race of a cancellation with a capture."""
    order = PaidOrder(world, order_id)
    take = order.hold(payment_activities.CAPTURE_PAYMENT)
    handle = await order.begin()
    await asked(world.contexts, order_id, payment_activities.CAPTURE_PAYMENT)
    await order.cancel()
    await until(lambda: order.state == "CANCELLED")
    take.set()
    return handle


async def cancelled_while_it_was_confirmed(world: World, order_id: str) -> Handle:
    """MarkOrderConfirmed is refused: the order is CANCELLED by then."""
    order = PaidOrder(world, order_id, silent=(PAYMENT_CAPTURED,))
    let_go = order.hold(order_activities.MARK_ORDER_CONFIRMED)
    handle = await order.begin()
    await asked(world.contexts, order_id, order_activities.MARK_ORDER_CONFIRMED)
    await order.cancel()
    await until(lambda: order.state == "CANCELLED")
    let_go.set()
    return handle


async def cancelled_after_it_was_confirmed(world: World, order_id: str) -> Handle:
    """Paid for and not picked."""
    order = PaidOrder(world, order_id, silent=(PICK_COMPLETED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PICK")
    await order_is(handle, "CONFIRMED", "Ship Order")
    await order.cancel()
    return handle


async def cancelled_in_temporal_while_it_was_paid(world: World, order_id: str) -> Handle:
    """The workflow itself is cancelled."""
    order = PaidOrder(world, order_id, silent=(PAYMENT_CAPTURED,))
    handle = await order.begin()
    await order_is(handle, "CONFIRMED", "Ship Order")
    await handle.cancel(reason="wrong order")
    return handle


async def broken_off_with_the_order_open(world: World, order_id: str) -> Handle:
    """Its fulfillment is terminated: a person has to decide."""
    order = PaidOrder(world, order_id, silent=(PICK_COMPLETED,))
    handle = await order.begin()
    await fulfillment_is(order, "WAITING_FOR_PICK")
    await order_is(handle, "CONFIRMED", "Ship Order")
    await order.fulfillment.terminate()
    return handle


ORDERS: Final = (
    delivered,
    delivered_although_every_service_was_away,
    delivered_after_it_was_overdue,
    delivered_although_cancelled_in_temporal,
    failed_without_stock_to_pay_for,
    failed_unpaid,
    failed_although_paid,
    cancelled_before_its_payment,
    cancelled_while_the_money_was_taken,
    cancelled_while_it_was_confirmed,
    cancelled_after_it_was_confirmed,
    cancelled_in_temporal_while_it_was_paid,
    broken_off_with_the_order_open,
)


# --- OrderFulfillmentWorkflow of a paid order ---------------------------------------------------------


async def _fulfil(world: World, order_id: str) -> tuple[PaidOrder, Handle]:
    """The fulfillment alone; what it says comes from a paid order's fakes, what it hears from the scenario."""
    order = PaidOrder(world, order_id)
    handle = await world.client.start_workflow(
        ORDER_FULFILLMENT.name,
        FulfillmentRequest(order_id, "paid"),
        id=ORDER_FULFILLMENT.workflow_id(order_id=order_id),
        task_queue=ORDER_FULFILLMENT.queue,
        result_type=str,
    )
    await fulfillment_is(order, "WAITING_FOR_PAYMENT")
    return order, handle


async def paid_and_shipped(world: World, order_id: str) -> Handle:
    """Its stock waits for its money."""
    order, handle = await _fulfil(world, order_id)
    await order.tell(handle, PAYMENT_CAPTURED)
    return handle


async def paid_and_shipped_in_a_second_run(world: World, order_id: str) -> Handle:
    """A flood while it waits for its payment; the next run knows that it waits, and until when."""
    order, handle = await _fulfil(world, order_id)
    first = (await handle.describe()).run_id
    for number in range(FLOOD):
        await order.tell(handle, PICK_COMPLETED, f"again-{number}")

    async def has_continued() -> bool:
        return (await handle.describe()).run_id != first

    await until(has_continued)
    await order.tell(handle, PAYMENT_CAPTURED)
    return handle


async def failed_without_payment(world: World, order_id: str) -> Handle:
    """24 hours with its stock reserved and no PaymentCaptured."""
    return (await _fulfil(world, order_id))[1]


async def failed_over_its_payment(world: World, order_id: str) -> Handle:
    """PaymentFailed."""
    order, handle = await _fulfil(world, order_id)
    failure = PaymentFailureNotice(order_id, "FRAUD", "scores 99 of 100")
    await order.tell(handle, PAYMENT_FAILED, code=failure.code, reason=failure.reason)
    return handle


async def cancelled_while_its_payment_was_awaited(world: World, order_id: str) -> Handle:
    """Released at once."""
    order, handle = await _fulfil(world, order_id)
    await order.cancel()
    return handle


FULFILLMENTS: Final = (
    paid_and_shipped,
    paid_and_shipped_in_a_second_run,
    failed_without_payment,
    failed_over_its_payment,
    cancelled_while_its_payment_was_awaited,
)
