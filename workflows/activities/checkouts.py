"""The activities of a checkout, and what it asks of OMS alone. Source: 000, "Architecture"; design §7."""

from __future__ import annotations

from temporalio import activity
from temporalio.exceptions import ApplicationError

from services.checkouts import Checkouts
from services.oms import Oms
from services.orders import CheckoutSubmission
from workflows.activities.contracts import checkout as contracts
from workflows.activities.contracts.checkout import (
    CheckoutExpiry,
    CheckoutReference,
    CheckoutRejection,
    CheckoutTotal,
)
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.refusals import refusals
from workflows.activities.submissions import submission_of
from workflows.contracts.checkout import CheckoutRequest


class CheckoutActivities:
    """A checkout's life, each activity one idempotent operation."""

    def __init__(self, checkouts: Checkouts, oms: Oms) -> None:
        self._checkouts = checkouts
        self._oms = oms

    @activity.defn(name=contracts.VALIDATE_CHECKOUT.name)
    async def validate_checkout(self, request: CheckoutRequest) -> CheckoutTotal:
        """Have the checkout checked and recorded, and give what is to be paid; each reason against it is named."""
        submission = CheckoutSubmission(
            request.checkout_id, request.payment_token, submission_of(request.order())
        )
        with refusals():
            reasons = await self._checkouts.validate(submission)
        if reasons:
            raise ApplicationError("; ".join(reasons), type="InvalidOrderError", non_retryable=True)
        return CheckoutTotal(str(submission.amount), submission.order.currency)

    @activity.defn(name=contracts.REQUEST_FRAUD_CHECK.name)
    async def request_fraud_check(self, checkout: CheckoutReference) -> None:
        """Ask, through Kafka, for a decision on fraud."""
        with refusals():
            await self._checkouts.request_fraud_check(checkout.checkout_id)

    @activity.defn(name=contracts.COMPLETE_CHECKOUT.name)
    async def complete_checkout(self, checkout: CheckoutReference) -> None:
        """The order has begun."""
        with refusals():
            await self._checkouts.complete(checkout.checkout_id)

    @activity.defn(name=contracts.REJECT_CHECKOUT.name)
    async def reject_checkout(self, rejection: CheckoutRejection) -> None:
        """The checkout came to nothing, and what was done for it is undone."""
        with refusals():
            await self._checkouts.reject(
                rejection.checkout_id, rejection.order_id, rejection.code, rejection.reason
            )

    @activity.defn(name=contracts.EXPIRE_CHECKOUT.name)
    async def expire_checkout(self, expiry: CheckoutExpiry) -> None:
        """No decision came in time, and what was done for it is undone."""
        with refusals():
            await self._checkouts.expire(expiry.checkout_id, expiry.order_id, expiry.waited_for)

    @activity.defn(name=contracts.WITHDRAW_ORDER.name)
    async def withdraw_order(self, order: OrderReference) -> None:
        """Give the order up. Bears that there is none, and then keeps a late one from being made."""
        with refusals():
            await self._oms.withdraw_order(order.order_id, "its checkout came to nothing")
