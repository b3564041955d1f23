"""The life of a return: REQUESTED → ACCEPTED → APPROVED → INSPECTED → COMPLETED, or REJECTED on the way."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from services.transitions import Rule, StateMachine


class ReturnState(StrEnum):
    """Where a return is. COMPLETED and REJECTED are final.

    ACCEPTED: within the policy, its pieces are set aside. APPROVED: there is a label too, and the customer knows.
    """

    REQUESTED = "REQUESTED"
    ACCEPTED = "ACCEPTED"
    APPROVED = "APPROVED"
    INSPECTED = "INSPECTED"
    COMPLETED = "COMPLETED"
    REJECTED = "REJECTED"


_PAST_POLICY: Final = (
    ReturnState.ACCEPTED,
    ReturnState.APPROVED,
    ReturnState.INSPECTED,
    ReturnState.COMPLETED,
)

RETURN: Final = StateMachine(
    "return",
    {
        "accept": Rule({ReturnState.REQUESTED: ReturnState.ACCEPTED}, done=frozenset(_PAST_POLICY)),
        "approve": Rule({ReturnState.ACCEPTED: ReturnState.APPROVED}, done=frozenset(_PAST_POLICY[1:])),
        "assess": Rule({ReturnState.APPROVED: ReturnState.INSPECTED}, done=frozenset(_PAST_POLICY[2:])),
        "complete": Rule({ReturnState.INSPECTED: ReturnState.COMPLETED}, done=frozenset(_PAST_POLICY[3:])),
        "reject": Rule(
            dict.fromkeys(
                (
                    ReturnState.REQUESTED,
                    ReturnState.ACCEPTED,
                    ReturnState.APPROVED,
                    ReturnState.INSPECTED,
                ),
                ReturnState.REJECTED,
            ),
            done=frozenset({ReturnState.REJECTED}),
        ),
    },
)
"""What each operation does to a return. An operation that comes again later than its own state finds its effect."""

HOLDING: Final = (ReturnState.ACCEPTED, ReturnState.APPROVED)
"""States in which a return holds the pieces that it has announced: they may still come."""

SETTLED: Final = (ReturnState.INSPECTED, ReturnState.COMPLETED)
"""States in which a return holds the pieces that were accepted, and no others: what did not come, or went back to
the customer, may be announced again."""
