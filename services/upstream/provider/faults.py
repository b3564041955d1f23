"""How the simulated payment provider misbehaves: how often by chance, or exactly once when told.

By chance means by seed, as in :mod:`services.upstream.simulation`: what is refused depends on the payment, so
that asking again gives the same answer; what merely goes wrong depends on the attempt, so that asking again may
help.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from infra.errors import InvalidInputError
from services.upstream.simulation import Simulation

ERROR: Final = "error"
"""The request is refused with status 503 before anything has happened."""

LOST: Final = "lost"
"""The request has its effect, and the connection ends without an answer: what a caller sees as a timeout."""

_SHARES: Final = ("decline", "insufficient_funds", "fraud", "invalid_card", "error", "lost")


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong, and how often: shares are from 0 (never) to 1 (always).

    ``decline``: an authorisation is refused. ``insufficient_funds``: a capture is. ``fraud``, ``invalid_card``: a check
    finds something. ``error``: status 503, nothing done. ``lost``: done, but the answer never comes. ``delay``:
    seconds before each answer. ``script``: what happens to the next requests of an operation (``authorize``,
    ``capture``, ``void``, ``refund``, ``fraud``, ``card``), before chance decides: ``error``, ``lost`` or ``ok`` each.
    """

    seed: int = 0
    decline: float = 0.0
    insufficient_funds: float = 0.0
    fraud: float = 0.0
    invalid_card: float = 0.0
    error: float = 0.0
    lost: float = 0.0
    delay: float = 0.0
    script: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _SHARES:
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise InvalidInputError(f"{name} must be a share from 0 to 1, is {value}")
        if not 0 <= self.delay < float("inf"):
            raise InvalidInputError(f"delay must be 0 seconds or more, is {self.delay}")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Faults:
        """The faults that ``document`` names; :class:`InvalidInputError` for a name that there is not."""
        known = {one.name for one in fields(cls)}
        if unknown := sorted(set(document) - known):
            raise InvalidInputError(
                f"no such fault: {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )
        script = {name: tuple(steps) for name, steps in document.get("script", {}).items()}
        return cls(**{**document, "script": script})


class Chance:
    """Decides by ``faults``, request by request; remembers only how often each thing was asked for."""

    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self._simulation = Simulation(faults.seed)
        self._script = {name: list(steps) for name, steps in faults.script.items()}
        self._attempts: Counter[str] = Counter()

    def mishap(self, operation: str, subject: str) -> str | None:
        """Whether this request of ``operation`` about ``subject`` meets :data:`ERROR`, :data:`LOST` or nothing."""
        if steps := self._script.get(operation):
            step = steps.pop(0)
            return step if step in {ERROR, LOST} else None
        self._attempts[f"{operation}/{subject}"] += 1
        attempt = self._attempts[f"{operation}/{subject}"]
        if self._simulation.happens(self.faults.error, subject, f"{operation}/error/{attempt}"):
            return ERROR
        if self._simulation.happens(self.faults.lost, subject, f"{operation}/lost/{attempt}"):
            return LOST
        return None

    def refusal(self, reference: str, token: str) -> str | None:
        """Why the authorisation is refused, or ``None``."""
        if token.startswith("tok_insufficient_funds"):
            return "insufficient_funds"
        if token.startswith("tok_declined") or self._happens(self.faults.decline, reference, "decline"):
            return "card_declined"
        return None

    def capture_fails(self, reference: str, token: str) -> bool:
        """Whether there is no money when the payment is taken."""
        told = token.startswith("tok_capture_insufficient_funds")
        return told or self._happens(self.faults.insufficient_funds, reference, "funds")

    def fraud_score(self, reference: str, token: str, model: str) -> int:
        """From 0 to 100; a fraud scores 95. Only the model v2 finds those of ``tok_fraud_v2``."""
        known = token.startswith("tok_fraud_v2") if model == "v2" else False
        plain = token.startswith("tok_fraud") and not token.startswith("tok_fraud_v2")
        if known or plain or self._happens(self.faults.fraud, reference, "fraud"):
            return 95
        return int(60 * self._simulation.draw(reference, f"score/{model}"))

    def card_problem(self, token: str) -> str | None:
        """Why the card cannot be used, or ``None``."""
        told = token.startswith("tok_invalid_card")
        return "expired" if told or self._happens(self.faults.invalid_card, token, "card") else None

    def _happens(self, share: float, subject: str, kind: str) -> bool:
        return self._simulation.happens(share, subject, kind)
