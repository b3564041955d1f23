"""How many calls may be under way at once: less after each overload, more while all goes well.

Additive increase, multiplicative decrease, as TCP does it (RFC 5681; Chiu and Jain, 1989). Pure data: no clock, no
task, no I/O. What was begun before a cut says nothing of the load after it: it neither cuts again nor raises the
limit, so that one burst of refusals is one cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_CUT: Final = 0.5
_LOWEST: Final = 1.0


@dataclass(frozen=True, slots=True)
class Ticket:
    """A call that was let in; ``cuts`` is how many cuts there had been."""

    cuts: int


class AdaptiveLimit:
    """The limit of one process; every ticket that :meth:`admit` gave must be given back exactly once.

    It never falls below one call and never rises above ``highest`` (calls), where it begins. Each cut halves it, or
    what was under way where that is less; each answer then adds a part that makes one call more for each round of
    answers, as long as at least half of it is in use: idle hours must not let it grow past what was tried.
    """

    def __init__(self, highest: int = 1000) -> None:
        if highest < _LOWEST:
            raise ValueError("at least one call must be possible at once")
        self._highest = float(highest)
        self._limit = self._highest
        self._cuts = 0
        self._under_way = 0

    @property
    def limit(self) -> int:
        """Calls that may be under way at once, now."""
        return int(self._limit)

    @property
    def under_way(self) -> int:
        """Calls that were let in and have not come back."""
        return self._under_way

    @property
    def cuts(self) -> int:
        """How often the limit was cut."""
        return self._cuts

    def admit(self) -> Ticket | None:
        """Let one call in; None where it must wait until another comes back."""
        if self._under_way >= self.limit:
            return None
        self._under_way += 1
        return Ticket(self._cuts)

    def answered(self, ticket: Ticket) -> None:
        """The call came back with an answer, whatever it said: the server keeps up."""
        needed = self._under_way * 2 >= self._limit
        self._under_way -= 1
        if needed and ticket.cuts == self._cuts:
            self._limit = min(self._highest, self._limit + 1.0 / self._limit)

    def overloaded(self, ticket: Ticket) -> bool:
        """The server refused the call for want of strength, or did not answer; whether the limit was cut."""
        under_way = self._under_way
        self._under_way -= 1
        if ticket.cuts != self._cuts:
            return False
        self._cuts += 1
        self._limit = max(_LOWEST, min(self._limit, float(under_way)) * _CUT)
        return True

    def abandoned(self, ticket: Ticket) -> None:
        """The call was given up before anything came back: that says nothing of the server."""
        del ticket
        self._under_way -= 1
