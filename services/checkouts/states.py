"""The states of a checkout: VALIDATED → AWAITING_DECISION → COMPLETED; or REJECTED, or EXPIRED."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.transitions import Rule, StateMachine


class CheckoutState(StrEnum):
    """Where a checkout is. COMPLETED, REJECTED and EXPIRED are final."""

    VALIDATED = "VALIDATED"
    INVALID = "INVALID"
    AWAITING_DECISION = "AWAITING_DECISION"
    COMPLETED = "COMPLETED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


_OPEN: Final = (CheckoutState.VALIDATED, CheckoutState.INVALID, CheckoutState.AWAITING_DECISION)
_CLOSED: Final = frozenset({CheckoutState.COMPLETED, CheckoutState.REJECTED, CheckoutState.EXPIRED})

CHECKOUT: Final = StateMachine(
    "checkout",
    {
        # Late, it finds that nobody needs a decision any more: there is nothing to ask for, and nothing wrong.
        "request_fraud_check": Rule(
            {CheckoutState.VALIDATED: CheckoutState.AWAITING_DECISION},
            done=_CLOSED | {CheckoutState.AWAITING_DECISION},
        ),
        "complete": Rule(
            {CheckoutState.AWAITING_DECISION: CheckoutState.COMPLETED},
            done=frozenset({CheckoutState.COMPLETED}),
        ),
        "reject": Rule(
            dict.fromkeys(_OPEN, CheckoutState.REJECTED), done=frozenset({CheckoutState.REJECTED})
        ),
        "expire": Rule(dict.fromkeys(_OPEN, CheckoutState.EXPIRED), done=frozenset({CheckoutState.EXPIRED})),
    },
)
"""What each operation does to a checkout. What has ended stays as it ended."""
