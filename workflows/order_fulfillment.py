"""Inventory allocation, warehouse execution and shipping of one order, as one durable process.

Source: 003, "Workflow 2 — OrderFulfillmentWorkflow"; design §7, "How they compose".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import (
    ALLOCATE_INVENTORY,
    CANCEL_PICK_WAVE,
    CANCEL_SHIPMENT,
    COMPENSATIONS,
    CONFIRM_SHIPMENT,
    CONSUME_INVENTORY,
    CREATE_PICK_WAVE,
    CREATE_SHIPMENT,
    GENERATE_SHIPPING_LABEL,
    MARK_ORDER_CANCELLED,
    MARK_ORDER_FAILED,
    MARK_ORDER_RESERVED,
    MARK_ORDER_SHIPPED,
    REFUSE_CANCELLATION,
    RELEASE_INVENTORY,
    RETURN_INVENTORY,
    OrderCancellation,
    OrderFailure,
    OrderReference,
    ShippedOrder,
)
from workflows.blocks.endings import ClockRanOutError, LeftEarlyError, RunIsFullError
from workflows.blocks.gate import Gate
from workflows.blocks.saga import Saga
from workflows.cancellation import Cancellation
from workflows.contracts.order import PAYMENT_CAPTURED, PAYMENT_FAILED, PaymentFailureNotice
from workflows.contracts.orders import (
    ALLOCATION_FAILED,
    CANCEL_ORDER,
    GET_BLOCKING_REASON,
    GET_CURRENT_STEP,
    GET_FULFILLMENT_STATUS,
    INVENTORY_ALLOCATED,
    ORDER_FULFILLMENT,
    PACK_COMPLETED,
    PICK_COMPLETED,
    AllocationRefusal,
    CancelRequest,
    FulfillmentStatus,
)
from workflows.fulfillment_gates import FulfillmentGates
from workflows.fulfillment_progress import FulfillmentInput, FulfillmentProgress
from workflows.patches import FULFILLMENT_STATUS
from workflows.policies import LABEL_CLOCK
from workflows.signals import Inbox
from workflows.visibility import note_status

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class _OrderFailedError(Exception):
    """The order cannot be fulfilled. ``code`` is for programs, the message for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _OrderCancelledError(Exception):
    """The order was cancelled before it was too late."""


@workflow.defn(name=ORDER_FULFILLMENT.name)
class OrderFulfillmentWorkflow:
    """Fulfils one order, and gives what became of it: ``SHIPPED``, ``CANCELLED`` or ``FAILED``.

    A cancelled or failed *order* is a result; the *workflow* fails only where a service refused for good to
    record or to undo what happened, so that a person looks at it. Cancelling the workflow in Temporal is a
    cancellation of the order: it is compensated, or refused once the shipment is being confirmed.
    """

    @workflow.init
    def __init__(self, order: FulfillmentInput) -> None:
        before = order.progress or FulfillmentProgress()
        self._order = OrderReference(order.order_id, order.flow)
        self._steps: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("Allocate Inventory", self._allocate_inventory),
            ("Mark Order Reserved", self._mark_order_reserved),
            *((("Wait for Payment", self._wait_for_payment),) if order.flow == "paid" else ()),
            ("Create Pick Wave", self._create_pick_wave),
            ("Wait for Pick Completion", self._wait_for_pick_completion),
            ("Consume Inventory", self._consume_inventory),
            ("Pack Order", self._pack_order),
            ("Create Shipment", self._create_shipment),
            ("Generate Shipping Label", self._generate_shipping_label),
            ("Confirm Shipment", self._confirm_shipment),
            ("Mark Order Shipped", self._mark_order_shipped),
        )
        self._steps_done = before.steps_done
        self._step = self._steps[before.steps_done][0]
        self._state = "RUNNING"
        self._blocked_by: str | None = None
        self._undo = Saga(self._order, COMPENSATIONS, before.compensations)
        self._gates = FulfillmentGates(before, self._step)
        self._cancellation = Cancellation(self._record_refusal)
        self._refused: list[str] = []
        self._inbox = Inbox(before.signal_failures, order_id=order.order_id)
        self._shipment_id = ""

    @workflow.run
    async def run(self, order: FulfillmentInput) -> str:
        """Fulfil ``order``, or what is left of it after an earlier run."""
        self._show("RUNNING")
        fulfillment = asyncio.create_task(self._fulfil_or_compensate())
        cancelled_in_temporal = False
        while not self._is_over(fulfillment):
            try:
                await workflow.wait_condition(lambda: self._is_over(fulfillment))
            except asyncio.CancelledError:
                cancelled_in_temporal = True
                reason = workflow.cancellation_reason() or None
                self._cancellation.ask(CancelRequest(order.order_id, "temporal", reason))
        try:
            self._show(fulfillment.result())
        except RunIsFullError:
            workflow.continue_as_new(replace(order, progress=self._progress()))
        if self._undo.refused or self._refused:
            refused = "; ".join((*self._undo.refused, *self._refused))
            raise ApplicationError(f"refused for good: {refused}", type="CompensationRefusedError")
        if self._state == "CANCELLED" and cancelled_in_temporal:
            raise asyncio.CancelledError
        return self._state

    def _is_over(self, fulfillment: asyncio.Task[str]) -> bool:
        return fulfillment.done() and self._cancellation.settled and workflow.all_handlers_finished()

    # --- The steps, in the order of seed 003 ----------------------------------------------------------

    async def _allocate_inventory(self) -> None:
        self._undo.push(RELEASE_INVENTORY)
        allocation = await self._do(ALLOCATE_INVENTORY, self._order)
        reason = allocation.reason
        if allocation.status == "WAITING":
            outcome = await self._wait("WAITING_FOR_STOCK", self._gates.stock)
            if not isinstance(outcome, AllocationRefusal):
                return
            reason = outcome.reason
        elif allocation.status != "FAILED":
            return
        self._undo.settle()
        raise _OrderFailedError("ALLOCATION_FAILED", reason or "the stock cannot be allocated")

    async def _mark_order_reserved(self) -> None:
        await self._do(MARK_ORDER_RESERVED, self._order)

    async def _wait_for_payment(self) -> None:
        """Of a paid order only: its stock is reserved, and nobody picks it before it is paid for."""
        outcome = await self._wait("WAITING_FOR_PAYMENT", self._gates.payment)
        if isinstance(outcome, PaymentFailureNotice):
            raise _OrderFailedError(f"PAYMENT_{outcome.code}", outcome.reason or "the payment failed")

    async def _create_pick_wave(self) -> None:
        self._undo.push(CANCEL_PICK_WAVE)
        await self._do(CREATE_PICK_WAVE, self._order)

    async def _wait_for_pick_completion(self) -> None:
        await self._wait("WAITING_FOR_PICK", self._gates.pick)

    async def _consume_inventory(self) -> None:
        await self._do(CONSUME_INVENTORY, self._order)
        self._undo.replace(RELEASE_INVENTORY, RETURN_INVENTORY)

    async def _pack_order(self) -> None:
        await self._wait("WAITING_FOR_PACK", self._gates.pack)

    async def _create_shipment(self) -> None:
        self._undo.push(CANCEL_SHIPMENT)
        self._shipment_id = await self._do(CREATE_SHIPMENT, self._order)

    async def _generate_shipping_label(self) -> None:
        self._blocked_by = _has_not_succeeded(GENERATE_SHIPPING_LABEL)
        label = GENERATE_SHIPPING_LABEL.start(self._order, clock=LABEL_CLOCK)
        await workflow.wait_condition(lambda: label.done() or self._cancellation.asked)
        if not label.done():
            label.cancel()
        try:
            await label
        except ActivityError as error:
            if not self._cancellation.asked:
                raise _OrderFailedError(
                    "LABEL_FAILED", f"no shipping label: {error.cause or error}"
                ) from error

    async def _confirm_shipment(self) -> None:
        self._cancellation.no_longer()
        await self._do(CONFIRM_SHIPMENT, self._order)
        self._undo.settle()

    async def _mark_order_shipped(self) -> None:
        await self._record(MARK_ORDER_SHIPPED, ShippedOrder(self._order.order_id, self._shipment_id))

    # --- What is around a step ------------------------------------------------------------------------

    async def _fulfil_or_compensate(self) -> str:
        """The steps to their end; or, where the order fails or is cancelled, back from where they are."""
        order_id = self._order.order_id
        try:
            for step, work in self._steps[self._steps_done :]:
                self._step = step
                self._stop_if_cancelled()
                await work()
                self._steps_done += 1
                self._blocked_by = None
        except (_OrderFailedError, _OrderCancelledError) as end:
            self._show("COMPENSATING")
            self._cancellation.no_longer()
            await self._undo.compensate(self._announce)
            if request := self._cancellation.request:
                await self._record(MARK_ORDER_CANCELLED, OrderCancellation(order_id, request.reason))
                return "CANCELLED"
            code = end.code if isinstance(end, _OrderFailedError) else "FAILED"
            await self._record(MARK_ORDER_FAILED, OrderFailure(order_id, code, str(end)))
            return "FAILED"
        return "SHIPPED"

    async def _do(self, activity: ActivityContract[Argument, Result], argument: Argument) -> Result:
        """One activity to its end, through a cancellation too: what is undone later is then known."""
        self._announce(activity)
        try:
            return await activity(argument)
        except ActivityError as error:
            cause = error.cause
            code = cause.type if isinstance(cause, ApplicationError) and cause.type else "ACTIVITY_FAILED"
            raise _OrderFailedError(code, f"{activity.name}: {cause or error}") from error

    async def _record(self, activity: ActivityContract[Argument, None], argument: Argument) -> None:
        """Tell OMS how it ended. Where OMS refuses that for good, the workflow fails in the end."""
        self._announce(activity)
        try:
            await activity(argument)
        except ActivityError as error:
            self._refused.append(f"{activity.name}: {error.cause or error}")
        self._blocked_by = None

    async def _wait(self, state: str, gate: Gate[Any]) -> Any:
        """The fact that opens ``gate``; where it does not come in time, the order fails."""
        self._show(state)
        self._blocked_by = None
        self._gates.at = gate
        try:
            fact = await gate.wait(leave=lambda: self._cancellation.asked)
        except ClockRanOutError as late:
            raise _OrderFailedError(f"{state.removeprefix('WAITING_FOR_')}_TIMEOUT", str(late)) from late
        except LeftEarlyError:
            raise _OrderCancelledError from None
        self._show("RUNNING")
        self._gates.at = None
        return fact

    def _stop_if_cancelled(self) -> None:
        if self._cancellation.asked:
            raise _OrderCancelledError

    def _show(self, state: str) -> None:
        self._state = state
        note_status(state, order_id=self._order.order_id, since=FULFILLMENT_STATUS)

    def _announce(self, activity: ActivityContract[Any, Any]) -> None:
        self._blocked_by = _has_not_succeeded(activity)

    async def _record_refusal(self, request: CancelRequest) -> None:
        reason = f"the order is past cancelling: {self._step}"
        try:
            await REFUSE_CANCELLATION(OrderCancellation(request.order_id, reason))
        except ActivityError as error:
            self._inbox.note(CANCEL_ORDER.name, f"refusal not recorded: {error.cause or error}")

    def _progress(self) -> FulfillmentProgress:
        return FulfillmentProgress(
            steps_done=self._steps_done,
            compensations=self._undo.pending,
            signal_failures=self._inbox.failures,
            **self._gates.known(),
        )

    # --- Signals: raw values, read here; the same fact twice changes nothing ---------------------------

    @workflow.signal(name=PICK_COMPLETED.name)
    def pick_completed(self, raw: RawValue) -> None:
        """All pick tasks are done. May come before the wave is known here."""
        if self._inbox.receive(PICK_COMPLETED, raw):
            self._gates.pick.pass_with(True)

    @workflow.signal(name=PACK_COMPLETED.name)
    def pack_completed(self, raw: RawValue) -> None:
        """Packing is complete. May come before the pick is known here."""
        if self._inbox.receive(PACK_COMPLETED, raw):
            self._gates.pack.pass_with(True)

    @workflow.signal(name=INVENTORY_ALLOCATED.name)
    def inventory_allocated(self, raw: RawValue) -> None:
        """The stock that the order waits for is its own now."""
        if self._inbox.receive(INVENTORY_ALLOCATED, raw):
            self._gates.stock.pass_with(True)

    @workflow.signal(name=ALLOCATION_FAILED.name)
    def allocation_failed(self, raw: RawValue) -> None:
        """The stock that the order waits for will never come."""
        if refusal := self._inbox.receive(ALLOCATION_FAILED, raw):
            self._gates.stock.pass_with(refusal)

    @workflow.signal(name=PAYMENT_CAPTURED.name)
    def payment_captured(self, raw: RawValue) -> None:
        """The order is paid for. May come before its stock is known to be reserved here."""
        if self._inbox.receive(PAYMENT_CAPTURED, raw):
            self._gates.payment.pass_with(True)

    @workflow.signal(name=PAYMENT_FAILED.name)
    def payment_failed(self, raw: RawValue) -> None:
        """The order will not be paid for."""
        if failure := self._inbox.receive(PAYMENT_FAILED, raw):
            self._gates.payment.pass_with(failure)

    @workflow.signal(name=CANCEL_ORDER.name)
    def cancel_order(self, raw: RawValue) -> None:
        """Abort the fulfillment, if it is not too late."""
        if request := self._inbox.receive(CANCEL_ORDER, raw):
            self._cancellation.ask(request)

    # --- Queries --------------------------------------------------------------------------------------

    @workflow.query(name=GET_FULFILLMENT_STATUS)
    def get_fulfillment_status(self) -> FulfillmentStatus:
        """Everything that can be said about where the order stands."""
        return FulfillmentStatus(
            order_id=self._order.order_id,
            state=self._state,
            step=self._step,
            blocking_reason=self.get_blocking_reason(),
            cancellation=str(self._cancellation),
            compensated=self._undo.done,
            refused=(*self._undo.refused, *self._refused),
            signal_failures=self._inbox.failures,
        )

    @workflow.query(name=GET_CURRENT_STEP)
    def get_current_step(self) -> str:
        """The step it is at, or was at when it ended."""
        return self._step

    @workflow.query(name=GET_BLOCKING_REASON)
    def get_blocking_reason(self) -> str | None:
        """What it waits for, in one sentence."""
        return self._gates.waiting_for or self._blocked_by


def _has_not_succeeded(activity: ActivityContract[Any, Any]) -> str:
    return f"{activity.name} has not succeeded yet (task queue {activity.queue})"
