"""A paid order from its creation to its customer's door: created → confirmed → shipped → delivered.

The order's fulfillment and its payment are children of their own. They meet through the events of the services:
OrderReserved lets the order take its payment, PaymentCaptured lets the fulfillment pick the goods. Whatever ends
the fulfillment other than a shipment (``CancelOrder`` goes there and nowhere else, or a failure) brings the
payment to its end here and then gives the money back, so no order is cancelled or failed and paid for all the same.

Source: 001, "Order processing"; 002, "Workflow Inventory", "Activity Patterns"; design §7, "How they compose".
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RawValue, WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    ChildWorkflowError,
    TemporalError,
)
from temporalio.workflow import ParentClosePolicy

from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.order import (
    MARK_ORDER_CONFIRMED,
    MARK_ORDER_DELIVERED,
    READ_ORDER_STATE,
    SEND_CONFIRMATION,
    DeliveredOrder,
)
from workflows.activities.contracts.orders import REFUSE_CANCELLATION, OrderCancellation, OrderReference
from workflows.blocks.endings import RunIsFullError
from workflows.blocks.gate import Gate
from workflows.contracts.order import (
    GET_SNAPSHOT,
    GET_STATUS,
    ORDER,
    ORDER_RESERVED,
    SHIPMENT_DELIVERED,
    DeliveryNotice,
    OrderSnapshot,
    OrderStatus,
    PaymentStatus,
)
from workflows.contracts.orders import CANCEL_ORDER, ORDER_FULFILLMENT, CancelRequest, FulfillmentRequest
from workflows.order_payment import Child, OrderPayment
from workflows.order_progress import OrderInput, OrderProgress
from workflows.policies import DELIVERY_CLOCK, NEXT_ROUND
from workflows.signals import Inbox
from workflows.visibility import note_status

Argument = TypeVar("Argument")

PAID: Final = "paid"


@workflow.defn(name=ORDER.name)
class OrderWorkflow:
    """Takes one paid order to its customer, and gives what became of it: ``DELIVERED``, ``CANCELLED``, ``FAILED``.

    A cancelled or failed *order* is a result; the *workflow* fails only where a service refused for good to
    record something or to give money back, or where the fulfillment broke off with the order still open, so
    that a person looks at it. Cancelling the workflow in Temporal asks its fulfillment to cancel the order.
    """

    @workflow.init
    def __init__(self, order: OrderInput) -> None:
        before = order.progress
        self._order = OrderReference(order.order_id, PAID)
        self._state = OrderStatus.SHIPPED if before else OrderStatus.CREATED
        money = PaymentStatus(before.payment) if before else PaymentStatus.AUTHORIZED
        self._payment = OrderPayment(self._order, money, self._wait_for)
        self._step = "Deliver Order" if before else "Reserve Stock"
        self._blocked_by: str | None = None
        self._reserved = False
        self._fulfillment: Child | None = None
        self._delivery_overdue = bool(before and before.delivery_overdue)
        self._delivery: Gate[DeliveryNotice] = Gate(
            SHIPMENT_DELIVERED.name,
            remind_every=DELIVERY_CLOCK,
            fact=before.delivery if before else None,
            state=before.delivery_gate if before else None,
        )
        self._cancelling: asyncio.Task[None] | None = None
        self._refused = list(before.refused if before else ())
        self._inbox = Inbox(before.signal_failures if before else (), order_id=order.order_id)

    @workflow.run
    async def run(self, order: OrderInput) -> str:
        """Take ``order`` to its customer, or on from where an earlier run has left it."""
        self._show(self._state)
        life = asyncio.create_task(self._live())
        while not self._is_over(life):
            try:
                await workflow.wait_condition(lambda: self._is_over(life))
            except asyncio.CancelledError:
                self._cancelling = self._cancelling or asyncio.create_task(self._ask_to_cancel(life))
        try:
            self._show(life.result())
        except RunIsFullError:
            workflow.continue_as_new(replace(order, progress=self._progress()))
        if self._refused:
            raise ApplicationError(
                f"refused for good: {'; '.join(self._refused)}", type="CompensationRefusedError"
            )
        if self._state is OrderStatus.CANCELLED and self._cancelling:
            raise asyncio.CancelledError
        return self._state.value

    def _is_over(self, life: asyncio.Task[OrderStatus]) -> bool:
        asked = self._cancelling is None or self._cancelling.done()
        return life.done() and asked and workflow.all_handlers_finished()

    async def _live(self) -> OrderStatus:
        if self._state is not OrderStatus.SHIPPED:
            # created: its stock is reserved, then its payment is taken
            self._fulfillment = fulfillment = await self._start_fulfillment()
            await self._until_reserved(fulfillment)
            await self._take_payment(fulfillment)

            # confirmed
            await self._confirm(fulfillment)

            # shipped
            end = await self._until_fulfilled(fulfillment)
            self._show(end)
            if end is not OrderStatus.SHIPPED:
                await self._give_money_back()
                return end

        # delivered
        await self._until_delivered()
        return OrderStatus.DELIVERED

    # --- The steps --------------------------------------------------------------------------------------

    async def _start_fulfillment(self) -> Child:
        order_id = self._order.order_id
        return await workflow.start_child_workflow(
            ORDER_FULFILLMENT.name,
            FulfillmentRequest(order_id, PAID),
            id=ORDER_FULFILLMENT.workflow_id(order_id=order_id),
            task_queue=ORDER_FULFILLMENT.queue,
            result_type=str,
            parent_close_policy=ParentClosePolicy.ABANDON,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )

    async def _until_reserved(self, fulfillment: Child) -> None:
        self._blocked_by = f"waiting for {ORDER_RESERVED.name}"
        await workflow.wait_condition(lambda: self._reserved or fulfillment.done())

    async def _take_payment(self, fulfillment: Child) -> None:
        if not fulfillment.done():
            self._step = "Take Payment"
            await self._payment.take(fulfillment)

    async def _confirm(self, fulfillment: Child) -> None:
        if self._payment.status is not PaymentStatus.CAPTURED:
            return
        self._step = "Confirm Order"
        refusal = await self._record(MARK_ORDER_CONFIRMED, self._order)
        if refusal is None:
            self._show(OrderStatus.CONFIRMED)
            # Fire-and-forget (002): nobody waits for it, and its failure is not the order's.
            SEND_CONFIRMATION.start(self._order).add_done_callback(_log_failure)
        elif await self._until_fulfilled(fulfillment) is OrderStatus.SHIPPED:
            self._refused.append(refusal)  # refused to an order that was neither cancelled nor failed

    async def _until_fulfilled(self, fulfillment: Child) -> OrderStatus:
        """SHIPPED, FAILED or CANCELLED; where the fulfillment broke off, OMS is asked what it has recorded."""
        self._step = "Ship Order"
        self._blocked_by = f"waiting for {fulfillment.id} to end"
        try:
            return OrderStatus(await fulfillment)
        except ChildWorkflowError as error:
            recorded = await READ_ORDER_STATE(self._order)
            if recorded in (OrderStatus.SHIPPED, OrderStatus.FAILED, OrderStatus.CANCELLED):
                return OrderStatus(recorded)
            raise ApplicationError(
                f"{fulfillment.id} broke off and left the order {recorded}, its payment "
                f"{self._payment.status.value}: decide what becomes of both ({error.cause or error})",
                type="FulfillmentBrokeOffError",
                non_retryable=True,
            ) from error

    async def _until_delivered(self) -> None:
        self._step = "Deliver Order"
        self._blocked_by = None
        delivery = await self._delivery.wait(remind=self._note_overdue)
        refusal = await self._record(
            MARK_ORDER_DELIVERED, DeliveredOrder(self._order.order_id, delivery.shipment_id)
        )
        if refusal:
            self._refused.append(refusal)

    async def _note_overdue(self, times: int) -> None:
        self._delivery_overdue = True
        workflow.logger.warning(
            "order %s: no delivery within %s days", self._order.order_id, times * DELIVERY_CLOCK.days
        )

    # --- Compensation -----------------------------------------------------------------------------------

    async def _give_money_back(self) -> None:
        self._step = "Give Money Back"
        if refusal := await self._payment.give_back():
            self._refused.append(refusal)
        self._blocked_by = None

    async def _ask_to_cancel(self, life: asyncio.Task[OrderStatus]) -> None:
        """Cancelled in Temporal: the one target of a cancellation decides; past shipping it is refused."""
        await workflow.wait_condition(
            lambda: self._fulfillment is not None or life.done() or self._state is OrderStatus.SHIPPED
        )
        request = CancelRequest(self._order.order_id, "temporal", workflow.cancellation_reason() or None)
        try:
            if self._fulfillment is not None and not self._fulfillment.done():
                await self._fulfillment.signal(CANCEL_ORDER.name, request)
            else:
                await REFUSE_CANCELLATION(OrderCancellation(request.order_id, "the order has shipped"))
        except TemporalError as error:
            self._inbox.note(CANCEL_ORDER.name, f"cancellation in Temporal not passed on: {error}")

    # --- What is around a step --------------------------------------------------------------------------

    async def _record(self, activity: ActivityContract[Argument, None], argument: Argument) -> str | None:
        """Have OMS record how far the order is; None, or why OMS refused that for good.

        Attempts that are used up (002: three) fail no order that is paid for: it waits, and asks again.
        """
        while True:
            self._announce(activity)
            try:
                await activity(argument)
            except ActivityError as error:
                cause = error.cause
                if isinstance(cause, ApplicationError) and cause.type in (
                    activity.retry.non_retryable_error_types or ()
                ):
                    return f"{activity.name}: {cause}"
                self._blocked_by = f"{activity.name} failed and is tried again in a minute: {cause or error}"
                await workflow.sleep(NEXT_ROUND)
            else:
                self._blocked_by = None
                return None

    def _show(self, state: OrderStatus) -> None:
        self._state = state
        note_status(state.value, order_id=self._order.order_id)

    def _wait_for(self, what: str) -> None:
        self._blocked_by = what

    def _announce(self, activity: ActivityContract[Any, Any]) -> None:
        self._blocked_by = f"{activity.name} has not succeeded yet (task queue {activity.queue})"

    def _progress(self) -> OrderProgress:
        return OrderProgress(
            payment=self._payment.status.value,
            delivery=self._delivery.fact,
            delivery_gate=self._delivery.state,
            delivery_overdue=self._delivery_overdue,
            refused=tuple(self._refused),
            signal_failures=self._inbox.failures,
        )

    # --- Signals: raw values, read here; the same fact twice changes nothing ------------------------------

    @workflow.signal(name=ORDER_RESERVED.name)
    def order_reserved(self, raw: RawValue) -> None:
        """The stock is the order's: its payment may be taken."""
        if self._inbox.receive(ORDER_RESERVED, raw):
            self._reserved = True

    @workflow.signal(name=SHIPMENT_DELIVERED.name)
    def shipment_delivered(self, raw: RawValue) -> None:
        """The carrier has handed the goods over. May come before the shipment is known here."""
        if delivery := self._inbox.receive(SHIPMENT_DELIVERED, raw):
            self._delivery.pass_with(delivery)

    # --- Queries ----------------------------------------------------------------------------------------

    @workflow.query(name=GET_STATUS)
    def get_status(self) -> str:
        """CREATED, CONFIRMED, SHIPPED, DELIVERED, FAILED or CANCELLED."""
        return self._state.value

    @workflow.query(name=GET_SNAPSHOT)
    def get_snapshot(self) -> OrderSnapshot:
        """Everything that can be said about where the order stands."""
        return OrderSnapshot(
            order_id=self._order.order_id,
            state=self._state.value,
            step=self._step,
            blocking_reason=self._blocked_by or self._delivery.waiting_for,
            payment=self._payment.status.value,
            delivery_overdue=self._delivery_overdue,
            refused=tuple(self._refused),
            signal_failures=self._inbox.failures,
        )


def _log_failure(sending: asyncio.Task[Any]) -> None:
    if not sending.cancelled() and (error := sending.exception()):
        workflow.logger.warning("no confirmation was sent: %s", error)
