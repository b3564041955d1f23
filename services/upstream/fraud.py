"""Fraud detection and its reviewers: judge every checkout that asks for it, some of them by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schemas.event import Event
from schemas.events import FraudCheckRequested, FraudDecided, ManualReviewDecided
from services.upstream.role import Intent, Role, repeated
from services.upstream.simulation import Simulation

APPROVED: Final = "approved"
REJECTED: Final = "rejected"
REVIEW: Final = "review"

_BY_RULE = "FraudDecided"
_BY_HAND = "ManualReviewDecided"
_REASONS: Final = {REJECTED: "card-velocity", REVIEW: "unusual-basket"}
"""Codes: a sentence from outside is not let through (:mod:`schemas.privacy`)."""


def react(event: Event, world: Simulation) -> Sequence[Intent]:
    """What fraud detection means to do about ``event``: a checkout is judged, and perhaps again by a person.

    The subject of the tasks is the checkout, their reference the decision.
    """
    if not isinstance(event, FraudCheckRequested):
        return []
    checkout_id = event.checkout_id
    decision = judged(checkout_id, world)
    after = world.delay(checkout_id, _BY_RULE)
    decisions = repeated(world, checkout_id, _BY_RULE, after, decision)
    if decision == REVIEW and not world.happens(world.review_left, checkout_id, "review/left"):
        rejected = world.happens(world.review_rejected, checkout_id, "review/rejected")
        later = after + world.delay(checkout_id, _BY_HAND)
        decisions += repeated(world, checkout_id, _BY_HAND, later, REJECTED if rejected else APPROVED)
    return decisions


def judged(checkout_id: str, world: Simulation) -> str:
    """What fraud detection says of a checkout: approved, rejected or review; always the same."""
    drawn = world.draw(checkout_id, "fraud")
    if drawn < world.fraud_rejected:
        return REJECTED
    return REVIEW if drawn < world.fraud_rejected + world.fraud_review else APPROVED


def report(kind: str, checkout_id: str, decision: str | None, at: datetime) -> Event:
    """The event that reports a decision."""
    if decision is None or kind not in {_BY_RULE, _BY_HAND}:
        raise ValueError(f"fraud detection reports decisions on checkouts, not {kind} of {decision}")
    reason = _REASONS.get(decision)
    if kind == _BY_RULE:
        return FraudDecided(checkout_id=checkout_id, decision=decision, reason=reason, decided_at=at)
    return ManualReviewDecided(
        checkout_id=checkout_id,
        decision=decision,
        reviewer_id="simulated-reviewer",
        reason=reason,
        decided_at=at,
    )


FRAUD: Final = Role(
    name="fraud",
    source="/upstream/fraud",
    listens_to=(FraudCheckRequested,),
    react=react,
    report=report,
)
"""Listens to checkouts that ask for a decision; reports decisions by rule and by hand."""
