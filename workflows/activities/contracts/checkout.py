"""The activities of a checkout.

Steps that go forward are tried as seed 000 says: 200 ms to 30 s, at most 7 times. What undoes one, or records
how a checkout ended, is tried until it has succeeded.

Source: 000, "Architecture", "Implementation Details"; design §7, "The paid flow".
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import CREATE_ORDER as CREATE_ANY_ORDER
from workflows.activities.contracts.orders import EMIT_ORDER_EVENT as EMIT_ANY_ORDER_EVENT
from workflows.activities.contracts.orders import OrderReference
from workflows.contracts.checkout import CheckoutRequest
from workflows.policies import CHECKOUT


@dataclass(frozen=True, slots=True)
class CheckoutReference:
    """Which checkout, and the order that it is for."""

    checkout_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class CheckoutTotal:
    """What is to be paid: an amount as text ("421.98"), and its currency."""

    amount: str
    currency: str


@dataclass(frozen=True, slots=True)
class CheckoutRejection:
    """Why a checkout came to nothing: a code for programs and a sentence for people."""

    checkout_id: str
    order_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class CheckoutExpiry:
    """Which decision a checkout waited for when its clock had run: the name of a signal."""

    checkout_id: str
    order_id: str
    waited_for: str


VALIDATE_CHECKOUT: Final = ActivityContract(
    "ValidateCheckout", "oms", CheckoutRequest, CheckoutTotal, retry=CHECKOUT
)
"""Fails, not to be retried, where the checkout is invalid (``InvalidOrderError``)."""

CREATE_ORDER: Final = replace(CREATE_ANY_ORDER, retry=CHECKOUT)
"""``CreateOrder`` of seed 003, as often as a checkout tries. The order's flow is in its input."""

EMIT_ORDER_EVENT: Final = replace(EMIT_ANY_ORDER_EVENT, retry=CHECKOUT)
"""``EmitOrderEvent`` of seed 003, as often as a checkout tries."""

REQUEST_FRAUD_CHECK: Final = ActivityContract(
    "RequestFraudCheck", "oms", CheckoutReference, type(None), retry=CHECKOUT
)

COMPLETE_CHECKOUT: Final = ActivityContract("CompleteCheckout", "oms", CheckoutReference, type(None))
REJECT_CHECKOUT: Final = ActivityContract("RejectCheckout", "oms", CheckoutRejection, type(None))
EXPIRE_CHECKOUT: Final = ActivityContract("ExpireCheckout", "oms", CheckoutExpiry, type(None))

WITHDRAW_ORDER: Final = ActivityContract("WithdrawOrder", "oms", OrderReference, type(None))
"""Undoes ``CreateOrder`` of a paid order: cancels it, or keeps one that is still under way from being made."""
