"""PostgreSQL's own account of which transactions are over: ``xmin:xmax:xip,xip…``.

A transaction is visible in a snapshot when its number is below ``xmax`` and not among ``xip``. Source:
PostgreSQL documentation, "Transaction ID and Snapshot Information Functions".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Which transactions had ended at one moment. ``text`` is what PostgreSQL printed."""

    text: str
    xmin: int
    xmax: int
    xip: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Snapshot:
        """The snapshot that ``text`` describes; ``ValueError`` when it describes none."""
        xmin, xmax, running = text.split(":")
        return cls(
            text, int(xmin), int(xmax), frozenset(map(int, running.split(","))) if running else frozenset()
        )

    def sees(self, xid: int) -> bool:
        """Whether the transaction ``xid`` had ended."""
        return xid < self.xmax and xid not in self.xip


NOTHING: Final = Snapshot.parse("3:3:")
"""The snapshot that sees no transaction of anybody: where a new outbox begins (3 is the first normal
number)."""


def ended_between(last: Snapshot, current: Snapshot) -> list[int]:
    """The transactions that were under way in ``last`` and had ended in ``current``, ascending."""
    return sorted(xid for xid in last.xip if current.sees(xid))
