"""Which offset of a partition may be committed, while its records finish in any order.

Offsets have holes (compaction, transaction markers, aborted records), so the tracker knows what was
*delivered* to it, never a range. Source: shared facts, "Kafka consumers".
"""

from __future__ import annotations

from collections import deque


class OffsetTracker:
    """The contiguous head of one partition. Adding and finishing cost O(1), amortised.

    Invariant: no offset at or above an unfinished one is ever offered for commit, so a restart repeats every
    record that was not finished and none that lies below the head.
    """

    __slots__ = ("_committed", "_finished", "_head", "_newest", "_newest_finished", "_pending")

    def __init__(self) -> None:
        self._pending: deque[int] = deque()
        self._finished: set[int] = set()
        self._head: int | None = None
        self._newest: int | None = None
        self._newest_finished: int | None = None
        self._committed: int | None = None

    def add(self, offset: int) -> bool:
        """Note that ``offset`` was delivered. False, and nothing noted, if it is not above the newest one."""
        if self._newest is not None and offset <= self._newest:
            return False
        self._newest = offset
        self._pending.append(offset)
        return True

    def finish(self, offset: int) -> None:
        """Note that the record at ``offset`` needs no further work."""
        pending, finished = self._pending, self._finished
        if not pending or offset < pending[0]:
            return
        if self._newest_finished is None or offset > self._newest_finished:
            self._newest_finished = offset
        if offset != pending[0]:
            finished.add(offset)
            return
        pending.popleft()
        head = offset
        while pending and pending[0] in finished:
            head = pending.popleft()
            finished.remove(head)
        self._head = head + 1

    @property
    def commitable(self) -> int | None:
        """The offset to commit (that of the next record to read), or None if nothing is new since the last
        commit."""
        return None if self._head == self._committed else self._head

    def committed(self, offset: int) -> None:
        """Note that ``offset`` was committed."""
        self._committed = offset

    @property
    def unfinished(self) -> int:
        """How many delivered records are not yet below the head."""
        return len(self._pending)

    @property
    def oldest_unfinished(self) -> int | None:
        """The offset that holds the head back, or None if everything delivered is finished."""
        return self._pending[0] if self._pending else None

    @property
    def newest_finished(self) -> int | None:
        """The highest offset finished, or None; those above the head would be repeated by a restart."""
        return self._newest_finished

    @property
    def above_head(self) -> int:
        """How many records are finished above the head: those that a restart would repeat."""
        return len(self._finished)

    @property
    def newest(self) -> int | None:
        """The highest offset delivered, or None."""
        return self._newest
