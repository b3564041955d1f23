"""The payment of an order, as others see it. Source: 002, "Workflow Inventory", "Child Workflows"; design §7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import PAYMENT_PROCESSING_QUEUE, WorkflowContract


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """The order whose authorised payment is to be taken."""

    order_id: str


PAYMENT: Final = WorkflowContract(
    "PaymentWorkflow", PAYMENT_PROCESSING_QUEUE, "payment-{order_id}", PaymentRequest
)
"""Gives :data:`CAPTURED`. Where the payment comes to nothing, it fails with an ``ApplicationError`` whose type
is a key of :data:`PAYMENT_FAILURE_CODES`; by then the authorisation is void and PaymentFailed is published.
Cancelled, it frees what is held and ends cancelled; cancelled when the money is taken already, it gives
:data:`CAPTURED`."""

CAPTURED: Final = "CAPTURED"
"""The one result of a payment: what was owed has been taken."""

FRAUD_DETECTED: Final = "FraudDetectedError"
INSUFFICIENT_FUNDS: Final = "InsufficientFundsError"
CARD_INVALID: Final = "CardInvalidError"
CARD_DECLINED: Final = "CardDeclinedError"
PAYMENT_UNAVAILABLE: Final = "PaymentUnavailableError"
PAYMENT_CANCELLED: Final = "PaymentCancelledError"

PAYMENT_FAILURE_CODES: Final = {
    FRAUD_DETECTED: "FRAUD",
    INSUFFICIENT_FUNDS: "INSUFFICIENT_FUNDS",
    CARD_INVALID: "CARD_INVALID",
    CARD_DECLINED: "DECLINED",
    PAYMENT_UNAVAILABLE: "UNAVAILABLE",
    PAYMENT_CANCELLED: "CANCELLED",
}
"""The ``code`` of PaymentFailed for each type of error that a payment ends with. None of the first four is ever
retried (002, "Payment-Specific Retries"); ``PaymentUnavailableError``: the attempts are used up;
``PaymentCancelledError``: somebody has taken the payment back meanwhile."""

GET_SNAPSHOT: Final = "getSnapshot"
"""Of a payment: a :class:`PaymentSnapshot`."""


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """Where a payment stands: what ``getSnapshot`` gives.

    ``state`` is ``CHECKING``, ``CAPTURING``, ``CAPTURED``, ``FAILING`` or ``FAILED``; ``blocking_reason`` is one
    sentence, or null where nothing is waited for; ``code`` says why the payment failed.
    """

    order_id: str
    state: str
    blocking_reason: str | None = None
    code: str | None = None
