"""The payment of an order, as its workflow has it taken and given back.

Nothing is given up half-way: a payment that is not wanted any more is cancelled and then awaited, so that it is
known whether the money was taken, and only then is it freed or refunded.

Source: 002, "Child Workflows", "Payment-Specific Retries"; design §7, "How they compose".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from temporalio import workflow
from temporalio.exceptions import ActivityError, ChildWorkflowError, WorkflowAlreadyStartedError
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

from infra.ids import derived_id
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.contracts.payment import REFUND_PAYMENT, VOID_AUTHORIZATION, RefundRequest
from workflows.contracts.order import OrderStatus, PaymentStatus
from workflows.contracts.payment import PAYMENT, PaymentRequest
from workflows.policies import NEXT_ROUND

Child: TypeAlias = ChildWorkflowHandle[Any, str]


class OrderPayment:
    """What becomes of one order's money. ``waiting`` is told what it waits for, in one sentence."""

    def __init__(self, order: OrderReference, status: PaymentStatus, waiting: Callable[[str], None]) -> None:
        self._order = order
        self._waiting = waiting
        self.status = status

    async def take(self, fulfillment: Child) -> None:
        """Run the payment to its end, whatever it is; one whose order is given up meanwhile is cancelled first."""
        payment = await self._start(fulfillment)
        if payment is None:
            return
        self.status = PaymentStatus.RUNNING
        self._waiting(f"waiting for {payment.id} to end")
        await workflow.wait_condition(lambda: payment.done() or fulfillment.done())
        if not payment.done() and not _has_shipped(fulfillment):
            payment.cancel()
        try:
            await payment
        except ChildWorkflowError as error:
            # PaymentFailed tells the fulfillment, which gives the stock back and fails the order.
            self.status = PaymentStatus.FAILED
            workflow.logger.info("payment of %s: %s", self._order.order_id, error.cause or error)
        else:
            self.status = PaymentStatus.CAPTURED

    async def give_back(self) -> str | None:
        """Free what is held, or refund what was taken, until it has succeeded; once for the order.

        None, or why payments refused that for good: a person has to look.
        """
        order_id = self._order.order_id
        try:
            if self.status is PaymentStatus.CAPTURED:
                self._waiting(_not_yet(REFUND_PAYMENT.name, REFUND_PAYMENT.queue))
                await REFUND_PAYMENT(RefundRequest(order_id, str(derived_id("refund", order_id))))
                self.status = PaymentStatus.REFUNDED
            else:
                self._waiting(_not_yet(VOID_AUTHORIZATION.name, VOID_AUTHORIZATION.queue))
                await VOID_AUTHORIZATION(self._order)
                self.status = PaymentStatus.VOIDED
        except ActivityError as error:
            return f"{error.activity_type}: {error.cause or error}"
        return None

    async def _start(self, fulfillment: Child) -> Child | None:
        """The payment as a child; None where the fulfillment ended before it could be started.

        One that runs already (after a reset of the order's workflow) is let finish, and then asked again: its
        effects are there, so it only gives its result.
        """
        order_id = self._order.order_id
        while not fulfillment.done():
            try:
                return await workflow.start_child_workflow(
                    PAYMENT.name,
                    PaymentRequest(order_id),
                    id=PAYMENT.workflow_id(order_id=order_id),
                    task_queue=PAYMENT.queue,
                    result_type=str,
                    parent_close_policy=ParentClosePolicy.ABANDON,
                )
            except WorkflowAlreadyStartedError:
                self._waiting("waiting for a payment to end that somebody else has started")
                await workflow.sleep(NEXT_ROUND)
        return None


def _has_shipped(fulfillment: Child) -> bool:
    """Whether it has ended so: then PaymentCaptured was heard there before the payment's end was here."""
    return not fulfillment.exception() and fulfillment.result() == OrderStatus.SHIPPED


def _not_yet(activity: str, queue: str) -> str:
    return f"{activity} has not succeeded yet (task queue {queue})"
