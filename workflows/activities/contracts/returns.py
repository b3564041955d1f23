"""The activities of a return; ``RefundPayment`` stands with the other activities of payments.

Steps that go forward are tried as seed 000 says: 200 ms to 30 s, at most 7 times. What undoes one, or records
how the return ended, is tried until it has succeeded.

Source: 000, "Implementation Details"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.contracts.returns import FoundLine
from workflows.policies import CARRIER, CHECKOUT, QUICK, THOROUGH


@dataclass(frozen=True, slots=True)
class ReturnReference:
    """Which return of which order."""

    return_id: str
    order_id: str


@dataclass(frozen=True, slots=True)
class PolicyVerdict:
    """Whether the return is within the policy; ``reason`` is one sentence, where it is not."""

    accepted: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledReturn:
    """A return whose parcel has a label with this number."""

    return_id: str
    order_id: str
    tracking_number: str


@dataclass(frozen=True, slots=True)
class ReturnReminder:
    """The ``number``-th reminder, from 1, that a return waits. ``about`` is ``PARCEL`` or ``INSPECTION``."""

    return_id: str
    order_id: str
    about: str
    number: int


@dataclass(frozen=True, slots=True)
class InspectedReturn:
    """What the warehouse has found in the parcel."""

    return_id: str
    order_id: str
    lines: tuple[FoundLine, ...]


@dataclass(frozen=True, slots=True)
class ReturnedPieces:
    """Pieces of one sku."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class ReturnSettlement:
    """What an inspection comes to, once and for all.

    ``amount`` is owed to the customer, as text: "0.00" where nothing was paid. ``accepted`` counts the pieces
    that were taken back; ``restock`` are those of them that go back on the shelf, the others are scrap.
    """

    amount: str
    accepted: int
    restock: tuple[ReturnedPieces, ...] = ()


@dataclass(frozen=True, slots=True)
class RestockRequest:
    """What of a return goes back on the shelf."""

    return_id: str
    order_id: str
    lines: tuple[ReturnedPieces, ...]


@dataclass(frozen=True, slots=True)
class RefundedReturn:
    """A return that has come to its end, and what was refunded for it, as text."""

    return_id: str
    order_id: str
    refunded: str


@dataclass(frozen=True, slots=True)
class ReturnRejection:
    """Why a return ends without a refund: a code for programs and a sentence for people."""

    return_id: str
    order_id: str
    code: str
    reason: str


CHECK_RETURN_POLICY: Final = ActivityContract(
    "CheckReturnPolicy", "oms", ReturnReference, PolicyVerdict, QUICK, CHECKOUT
)
"""Sets the pieces aside for this return: no other return of the order gets them until it is over."""

GENERATE_RETURN_LABEL: Final = ActivityContract(
    "GenerateReturnLabel", "sms", ReturnReference, str, CARRIER, CHECKOUT
)
"""Gives the tracking number of the parcel that comes back."""

CANCEL_RETURN_LABEL: Final = ActivityContract("CancelReturnLabel", "sms", ReturnReference, type(None))
"""Undoes ``GenerateReturnLabel``. Bears that there is no label, and then keeps a late one from being made."""

APPROVE_RETURN: Final = ActivityContract("ApproveReturn", "oms", LabelledReturn, type(None), QUICK, CHECKOUT)
SEND_RETURN_REMINDER: Final = ActivityContract(
    "SendReturnReminder", "oms", ReturnReminder, type(None), QUICK, CHECKOUT
)

ASSESS_RETURN: Final = ActivityContract(
    "AssessReturn", "oms", InspectedReturn, ReturnSettlement, QUICK, CHECKOUT
)
"""The first inspection of a return counts; asked again, it gives the settlement that was made then."""

RESTOCK_RETURN: Final = ActivityContract(
    "RestockReturn", "ims", RestockRequest, type(None), THOROUGH, CHECKOUT
)
COMPLETE_RETURN: Final = ActivityContract("CompleteReturn", "oms", RefundedReturn, type(None))
REJECT_RETURN: Final = ActivityContract("RejectReturn", "oms", ReturnRejection, type(None))

COMPENSATIONS: Final = (CANCEL_RETURN_LABEL,)
"""What undoes a step of a return."""
