"""The activities of an order's payment, all of them on the queue ``payments``.

Source: 002, "Payment-Specific Retries", "Migration Notes"; 000, "Architecture"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import OrderReference
from workflows.contracts.payment import PaymentRequest
from workflows.policies import CHECKOUT, PAYMENT_V1, PROVIDER, STANDARD


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What is to be held for an order. ``amount`` is text ("12.30"); ``payment_token`` a reference at the provider."""

    order_id: str
    amount: str
    currency: str
    payment_token: str


@dataclass(frozen=True, slots=True)
class PaymentFailure:
    """Why a payment comes to nothing: a code for programs and a sentence for people."""

    order_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """What is to be given back. ``amount`` is text; without one, all that is left of what was taken."""

    order_id: str
    refund_id: str
    amount: str | None = None


AUTHORIZE_PAYMENT: Final = ActivityContract(
    "AuthorizePayment", "payments", AuthorizationRequest, str, PROVIDER, CHECKOUT
)
"""Holds the amount and gives the payment's id. Fails, not to be retried, with ``CardDeclinedError`` or
``InsufficientFundsError`` where the provider says no, and with ``IllegalTransitionError`` where the
authorisation was voided before."""

VOID_AUTHORIZATION: Final = ActivityContract(
    "VoidAuthorization", "payments", OrderReference, type(None), PROVIDER
)
"""A compensation: takes back whatever the payment has done. What is held is freed; what was taken meanwhile is
refunded in full; where there is nothing, a late authorisation takes nothing. Bears any state and any repeat."""

CHECK_FRAUD: Final = ActivityContract(
    "CheckFraud", "payments", PaymentRequest, type(None), PROVIDER, PAYMENT_V1
)
"""The check of v1. Fails, not to be retried, with ``FraudDetectedError``."""

CHECK_FRAUD_V2: Final = ActivityContract(
    "CheckFraudV2", "payments", PaymentRequest, type(None), PROVIDER, STANDARD
)
"""Fails, not to be retried, with ``FraudDetectedError``."""

VALIDATE_CARD: Final = ActivityContract(
    "ValidateCard", "payments", PaymentRequest, type(None), PROVIDER, STANDARD
)
"""Fails, not to be retried, with ``CardInvalidError``."""

CAPTURE_PAYMENT: Final = ActivityContract(
    "CapturePayment", "payments", PaymentRequest, type(None), PROVIDER, STANDARD
)
"""Takes what is held, once. Fails, not to be retried, with ``InsufficientFundsError``."""

CAPTURE_PAYMENT_V1: Final = replace(CAPTURE_PAYMENT, retry=PAYMENT_V1)
"""The same activity, asked for by payments that began before "payment-v2"."""

FAIL_PAYMENT: Final = ActivityContract("FailPayment", "payments", PaymentFailure, str, PROVIDER)
"""Frees what is held and publishes PaymentFailed: gives ``FAILED``. Where the provider has taken the money after
all (an answer that was lost), that stands, is published as PaymentCaptured, and it gives ``CAPTURED``."""

REFUND_PAYMENT: Final = ActivityContract("RefundPayment", "payments", RefundRequest, str, PROVIDER)
"""Gives back, once for each ``refund_id``, and gives the amount as text: "0.00" where nothing was captured (what
is only held is freed, where no amount was asked for). Fails, not to be retried, with ``RefundRefusedError`` for
more than is left."""
