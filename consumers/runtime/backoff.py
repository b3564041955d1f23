"""How long to wait before the next try."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from ``first`` to ``limit`` seconds, each shortened by up to ``jitter`` of itself.

    The jitter keeps many lanes that failed together from coming back together.
    """

    first: float = 0.1
    limit: float = 10.0
    jitter: float = 0.2

    def after(self, failures: int, draw: float | None = None) -> float:
        """Seconds to wait after ``failures`` failures in a row (1 or more); ``draw`` in [0, 1) replaces
        chance."""
        chance = random.random() if draw is None else draw  # noqa: S311 - spreads load, guards nothing
        full = min(self.limit, self.first * 2.0 ** min(max(failures - 1, 0), 30))
        return full * (1.0 - self.jitter * chance)
