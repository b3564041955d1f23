"""How the simulated outside world behaves: late, twice, in the wrong order, too early, or not at once.

Every decision is a pure function of (seed, order, what is decided), so a run can be repeated, a process that
was killed decides the same again, and two processes agree without talking to each other.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from datetime import timedelta

from infra.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Simulation:
    """What may go wrong outside, and how often: shares are from 0 (never) to 1 (always).

    ``delay_seconds`` is the mean of how long each piece of work takes (from half to one and a half of it).
    ``duplicate``: the same event comes again. ``duplicate_fact``: the same fact comes again under a new event
    id. ``reorder``: an order is reported packed before it is reported picked. ``early``: a pick or a pack is
    reported as soon as the order is submitted, before there is a wave. ``label_failure``: the carrier refuses
    a label, at each attempt anew. ``short_delivery``: the supplier delivers fewer pieces than were ordered.
    ``fraud_rejected`` and ``fraud_review``: fraud detection rejects a checkout, or passes it on to a person; of those
    ``review_rejected`` is rejected, and ``review_left`` is left to ``tidegate checkout decide``.
    ``return_missing``: only half of a line comes back; ``return_scrap`` and ``return_reject``: of the lines that come
    back, so many are unfit for the shelf, or are not accepted.
    """

    seed: int = 0
    delay_seconds: float = 0.0
    duplicate: float = 0.0
    duplicate_fact: float = 0.0
    reorder: float = 0.0
    early: float = 0.0
    label_failure: float = 0.0
    short_delivery: float = 0.0
    fraud_rejected: float = 0.0
    fraud_review: float = 0.0
    review_rejected: float = 0.0
    review_left: float = 0.0
    return_missing: float = 0.0
    return_scrap: float = 0.0
    return_reject: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.delay_seconds < float("inf"):
            raise InvalidInputError(f"delay must be 0 seconds or more, is {self.delay_seconds}")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in {"seed", "delay_seconds"} and not 0 <= value <= 1:
                raise InvalidInputError(f"{field.name} must be a share from 0 to 1, is {value}")
        if self.fraud_rejected + self.fraud_review > 1:
            raise InvalidInputError(
                f"fraud_rejected and fraud_review must be shares of one whole, are {self.fraud_rejected} and "
                f"{self.fraud_review}"
            )

        if self.return_scrap + self.return_reject > 1:
            raise InvalidInputError(
                f"return_scrap and return_reject must be shares of one whole, are {self.return_scrap} and "
                f"{self.return_reject}"
            )

    def draw(self, order_id: str, kind: str) -> float:
        """A number from 0 up to 1 for ``kind`` of this order: always the same, evenly spread over orders."""
        digest = hashlib.sha256(f"{self.seed}/{order_id}/{kind}".encode()).digest()
        return int.from_bytes(digest[:8]) / 2**64

    def happens(self, share: float, order_id: str, kind: str) -> bool:
        """Whether ``kind``, which happens to a ``share`` of the orders, happens to this one."""
        return self.draw(order_id, kind) < share

    def delay(self, order_id: str, kind: str) -> timedelta:
        """How long the work ``kind`` on this order takes."""
        return timedelta(seconds=self.delay_seconds * (0.5 + self.draw(order_id, f"delay/{kind}")))
