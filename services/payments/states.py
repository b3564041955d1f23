"""The life of a payment: NEW → AUTHORIZED → CAPTURED → refunded, or VOIDED, or FAILED."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.transitions import Rule, StateMachine


class PaymentState(StrEnum):
    """Where a payment is.

    NEW: the provider is being asked to hold the amount, and whether it does is not known. VOIDED: nothing is held
    and nothing will be, also where the authorisation never came. FAILED: the provider refused to hold it.
    """

    NEW = "NEW"
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"
    VOIDED = "VOIDED"
    FAILED = "FAILED"


TAKEN: Final = frozenset({PaymentState.CAPTURED, PaymentState.PARTIALLY_REFUNDED, PaymentState.REFUNDED})
"""The states in which the money was taken, whatever was given back since."""

OVER: Final = frozenset({PaymentState.VOIDED, PaymentState.FAILED, PaymentState.REFUNDED})
"""The states in which nothing is held and nothing is left of what was taken."""

PAYMENT: Final = StateMachine(
    "payment of order",
    {
        "authorize": Rule(
            {PaymentState.NEW: PaymentState.AUTHORIZED}, done=TAKEN | {PaymentState.AUTHORIZED}
        ),
        "decline": Rule({PaymentState.NEW: PaymentState.FAILED}, done=frozenset({PaymentState.FAILED})),
        "capture": Rule({PaymentState.AUTHORIZED: PaymentState.CAPTURED}, done=TAKEN),
        "void": Rule(
            {PaymentState.AUTHORIZED: PaymentState.VOIDED},
            done=frozenset({PaymentState.VOIDED, PaymentState.FAILED}),
        ),
        "refund_a_part": Rule(
            {
                PaymentState.CAPTURED: PaymentState.PARTIALLY_REFUNDED,
                PaymentState.PARTIALLY_REFUNDED: PaymentState.PARTIALLY_REFUNDED,
            }
        ),
        "refund_the_rest": Rule(
            {
                PaymentState.CAPTURED: PaymentState.REFUNDED,
                PaymentState.PARTIALLY_REFUNDED: PaymentState.REFUNDED,
            }
        ),
    },
)
"""What each answer of the provider does to a payment. Once it is voided or refused, authorising and capturing are
illegal: a late authorisation takes nothing (design §7, "How they compose")."""


class RefundState(StrEnum):
    """PENDING: the provider is being asked; such a refund counts as given. REFUSED: it said no for good."""

    PENDING = "PENDING"
    DONE = "DONE"
    REFUSED = "REFUSED"


class Operation(StrEnum):
    """What the provider is asked to do."""

    AUTHORIZE = "AUTHORIZE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"
