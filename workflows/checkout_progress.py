"""What a checkout's workflow is given, and what it takes along when it continues as new.

It continues as new only while it waits for a decision: nothing else takes signals by the thousand.

Source: design §6, "signal limit of the run near or reached".
"""

from __future__ import annotations

from dataclasses import dataclass

from workflows.blocks.gate import GateState
from workflows.contracts.base import SignalFailure
from workflows.contracts.checkout import CheckoutRequest, FraudDecision, ManualReviewDecision


@dataclass(frozen=True, slots=True)
class CheckoutProgress:
    """How far the earlier runs have come; the defaults are those of a first run.

    ``steps_done`` counts the steps that are behind; ``deadline`` is that of the checkout's clock (ISO-8601), so
    that a new run does not lengthen it; ``compensations`` are the saga's stack.
    """

    steps_done: int = 0
    deadline: str | None = None
    compensations: tuple[str, ...] = ()
    fraud_decision: FraudDecision | None = None
    review_decision: ManualReviewDecision | None = None
    review_gate: GateState | None = None
    signal_failures: tuple[SignalFailure, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckoutInput(CheckoutRequest):
    """The one argument of the workflow: a ``CheckoutRequest``, and in a continued run what came before."""

    progress: CheckoutProgress | None = None
