"""The cursor: a snapshot, not a number.

What is to be published next is the *window* of rows that a current snapshot sees and the last one did not,
in the order of their ids. Nothing is lost, because a row is in no window until its transaction is over, and
then in exactly one. The order of a key is kept, because whoever appends holds the key's lock: of two rows
of one key the later one is never visible before the earlier. Source: design §5; docs/decisions/0003.

The *floor* makes a window cheap to find. It is a sequence value that was read before the number of some
transaction M was drawn, where M had ended before the window's start was taken, so M lies below ``xmax`` of
it. Any transaction at or above that ``xmax`` drew its number after M did, and its ids after its number (the
column ``xid`` stands before ``id``): they lie above the floor. What remains below it comes from
transactions that were already running at the window's start, and these are known by number: the
*stragglers*. So a window is its stragglers up to the floor, and then the rows above the floor in the order
of the index, which no backlog can make slow.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from outbox.snapshot import NOTHING, Snapshot


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the outbox between a snapshot and ``end``; no id in it is above ``ceiling``.

    ``name`` is what Kafka transactions call it (:mod:`outbox.position`).
    """

    end: Snapshot
    ceiling: int
    name: UUID | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far some groups have been published.

    All rows that ``snapshot`` sees are; of the ``window`` under way, if there is one, those with ids up to
    ``after`` are too.
    """

    snapshot: Snapshot = NOTHING
    floor: int = 0
    window: Window | None = None
    after: int = 0

    def opened(self, window: Window) -> Cursor:
        """The same place, with ``window`` begun."""
        return replace(self, window=window, after=0)

    def advanced(self, after: int) -> Cursor:
        """All rows of the window up to the id ``after`` are published."""
        return replace(self, after=after)

    def closed(self, floor: int) -> Cursor:
        """The window is published to its end. ``floor`` is one that holds for the window's end."""
        if self.window is None:
            return self
        return Cursor(snapshot=self.window.end, floor=floor)


@dataclass(frozen=True, slots=True)
class Cohort:
    """Groups that stand at the same place and are read together."""

    groups: frozenset[int]
    cursor: Cursor


def merged(cohorts: list[Cohort]) -> list[Cohort]:
    """Put cohorts that stand between windows at the same snapshot together; each floor holds, so the
    highest does."""
    together: dict[tuple[str, Window | None, int], Cohort] = {}
    for cohort in cohorts:
        cursor = cohort.cursor
        place = (cursor.snapshot.text, cursor.window, cursor.after)
        twin = together.get(place)
        if twin is not None:
            floor = max(twin.cursor.floor, cursor.floor)
            cohort = Cohort(twin.groups | cohort.groups, replace(cursor, floor=floor))
        together[place] = cohort
    return list(together.values())
