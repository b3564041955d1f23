"""The activities that payments own. Source: 002, "Migration Notes", "Payment-Specific Retries"."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal, InvalidOperation

from temporalio import activity
from temporalio.exceptions import ApplicationError

from services.errors import InvalidOrderError, ProviderRestingError, RefundRefusedError, ServiceError
from services.payments import Payments
from workflows.activities.contracts import payment as contracts
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.contracts.payment import AuthorizationRequest, PaymentFailure, RefundRequest
from workflows.activities.refusals import refusals
from workflows.contracts.payment import CAPTURED, PaymentRequest


class PaymentActivities:
    """The order's payment, each activity one idempotent operation of payments."""

    def __init__(self, payments: Payments) -> None:
        self._payments = payments

    @activity.defn(name=contracts.AUTHORIZE_PAYMENT.name)
    async def authorize_payment(self, request: AuthorizationRequest) -> str:
        """Hold what the order costs, and give the payment's id."""
        with _answers():
            amount = _money(request.amount, InvalidOrderError)
            return await self._payments.authorize(
                request.order_id, amount, request.currency, request.payment_token
            )

    @activity.defn(name=contracts.VOID_AUTHORIZATION.name)
    async def void_authorization(self, order: OrderReference) -> None:
        """Take back whatever the payment has done. Bears that there is none, and then keeps a late one out."""
        with _answers():
            await self._payments.void(order.order_id)

    @activity.defn(name=contracts.CHECK_FRAUD.name)
    async def check_fraud(self, payment: PaymentRequest) -> None:
        """Have the provider's first model look at the payment."""
        with _answers():
            await self._payments.check_fraud(payment.order_id, "v1")

    @activity.defn(name=contracts.CHECK_FRAUD_V2.name)
    async def check_fraud_v2(self, payment: PaymentRequest) -> None:
        """Have the provider's second model look at the payment."""
        with _answers():
            await self._payments.check_fraud(payment.order_id, "v2")

    @activity.defn(name=contracts.VALIDATE_CARD.name)
    async def validate_card(self, payment: PaymentRequest) -> None:
        """Ask whether the card can still be used."""
        with _answers():
            await self._payments.validate_card(payment.order_id)

    @activity.defn(name=contracts.CAPTURE_PAYMENT.name)
    async def capture_payment(self, payment: PaymentRequest) -> None:
        """Take what is held."""
        with _answers():
            await self._payments.capture(payment.order_id)

    @activity.defn(name=contracts.FAIL_PAYMENT.name)
    async def fail_payment(self, failure: PaymentFailure) -> str:
        """Free what is held and say that the payment has failed; or find that it was taken after all."""
        with _answers():
            failed = await self._payments.fail(failure.order_id, failure.code, failure.reason)
        return "FAILED" if failed else CAPTURED

    @activity.defn(name=contracts.REFUND_PAYMENT.name)
    async def refund_payment(self, refund: RefundRequest) -> str:
        """Give back what was asked for, or all that is left, and give the amount."""
        with _answers():
            amount = None if refund.amount is None else _money(refund.amount, RefundRefusedError)
            return str(await self._payments.refund(refund.order_id, refund.refund_id, amount))


@contextmanager
def _answers() -> Iterator[None]:
    """Refusals as :func:`refusals` says them; a provider that rests is asked again when it has rested."""
    try:
        with refusals():
            yield
    except ProviderRestingError as error:
        raise ApplicationError(
            str(error),
            type=ProviderRestingError.__name__,
            next_retry_delay=timedelta(seconds=error.seconds + 1),
        ) from error


def _money(text: str, error: type[ServiceError]) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise error(f"{text!r} is no amount") from None
