"""What many delays come to."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Delays:
    """Milliseconds: the middle one, the one that a hundredth exceeds, the longest."""

    count: int
    p50: float
    p99: float
    longest: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Delays:
        """Sum up; raises ValueError where there is nothing."""
        if not seconds:
            raise ValueError("nothing was measured")
        ordered = sorted(seconds)
        place = math.ceil(len(ordered) * 0.99) - 1
        return cls(len(ordered), 1000 * statistics.median(ordered), 1000 * ordered[place], 1000 * ordered[-1])

    @property
    def three(self) -> tuple[float, float, float]:
        """As they stand in a table."""
        return self.p50, self.p99, self.longest
