"""Lanes: the records of one key wait in line, one of them in flight, while other keys go on.

Pure data: no task, no clock. A worker :meth:`takes <Lanes.take>` a lane, handles the record at its head and
then says what came of it. A lane is busy from then on, so that a key never has two records in flight. Source:
design §6.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

from consumers.runtime.offsets import OffsetTracker

Place = TypeVar("Place", bound=Hashable)
Item = TypeVar("Item")


class Lane(Generic[Place, Item]):
    """The records of one key of one partition that are not finished, oldest first."""

    __slots__ = ("dropped", "due", "failures", "items", "key", "partition", "probe", "taken")

    def __init__(self, partition: Partition[Place, Item], key: bytes | None) -> None:
        self.partition = partition
        self.key = key
        self.items: deque[tuple[int, Item]] = deque()
        self.taken = 0
        """How many records, from the head on, are in flight together: more than one only in a batch."""
        self.failures = 0
        """How often in a row the record at the head could not be handled."""
        self.due: float | None = None
        """When it is tried again, while it waits for that: the retries' own mark, on their clock."""
        self.probe = False
        """Whether this lane is the one that tries whether its closed partition may open again."""
        self.dropped = False
        """Whether the partition was let go: what comes of the record in flight concerns nobody any more."""

    @property
    def head(self) -> tuple[int, Item]:
        """Offset and record of the oldest."""
        return self.items[0]

    @property
    def busy(self) -> bool:
        """Whether a record is in flight."""
        return self.taken > 0


class Partition(Generic[Place, Item]):
    """What one partition holds, and whether its lanes may be taken."""

    __slots__ = (
        "buffered",
        "closed",
        "due",
        "failures",
        "handled",
        "lanes",
        "paused",
        "place",
        "stash",
        "tracker",
    )

    def __init__(self, place: Place) -> None:
        self.place = place
        self.tracker = OffsetTracker()
        self.lanes: dict[bytes | None, Lane[Place, Item]] = {}
        self.stash: deque[Lane[Place, Item]] = deque()
        """Lanes that would be ready if the partition were not closed."""
        self.buffered = 0
        """Records that wait in lanes or are in flight."""
        self.handled = 0
        """Records finished since the partition came."""
        self.closed = False
        self.due: float | None = None
        """When one of its lanes tries whether it may open, while it is closed: the retries' own mark."""
        self.failures = 0
        """How often in a row the partition was closed again by the lane that tried."""
        self.paused = False
        """Whether reading from the broker is paused: the reader's own mark."""


class Lanes(Generic[Place, Item]):
    """The lanes of all partitions that this consumer has."""

    def __init__(self) -> None:
        self._partitions: dict[Place, Partition[Place, Item]] = {}
        self._ready: deque[Lane[Place, Item]] = deque()
        self._accepting = True
        self.in_flight = 0
        """Lanes taken and not given back, those of partitions that were let go aside."""
        self.buffered = 0
        """Records in all lanes."""

    def __iter__(self) -> Iterator[Partition[Place, Item]]:
        return iter(self._partitions.values())

    @property
    def ready(self) -> int:
        """How many lanes could be taken, at most."""
        return len(self._ready)

    def partition(self, place: Place) -> Partition[Place, Item] | None:
        """The partition at ``place`` if this consumer has it."""
        return self._partitions.get(place)

    def add_partition(self, place: Place) -> None:
        """This consumer has the partition from now on, with nothing of it in hand."""
        self._partitions[place] = Partition(place)
        self._accepting = True

    def put(self, place: Place, key: bytes | None, offset: int, item: Item) -> bool:
        """Append a record to the lane of its key.

        False, and nothing kept, for a partition that this consumer does not have or for an offset that it has
        seen.
        """
        partition = self._partitions.get(place)
        if partition is None or not self._accepting or not partition.tracker.add(offset):
            return False
        lane = partition.lanes.get(key)
        if lane is None:
            lane = partition.lanes[key] = Lane(partition, key)
            self._ready.append(lane)
        lane.items.append((offset, item))
        partition.buffered += 1
        self.buffered += 1
        return True

    def take(self) -> Lane[Place, Item] | None:
        """A lane whose head may be handled now, or None. It is busy until :meth:`finish`, :meth:`again` or
        :meth:`put_back`.

        Whoever takes a run of its records, in their order, says so in ``taken``.
        """
        while self._ready:
            lane = self._ready.popleft()
            if lane.dropped:
                continue
            if lane.partition.closed and not lane.probe:
                lane.partition.stash.append(lane)
                continue
            self.in_flight += 1
            lane.taken = 1
            return lane
        return None

    def put_back(self, lane: Lane[Place, Item]) -> None:
        """A busy lane was taken for nothing: it is the next to be taken."""
        self.in_flight -= 1
        lane.taken = 0
        self._ready.appendleft(lane)

    def finish(self, lane: Lane[Place, Item]) -> bool:
        """All records of a busy lane that were taken are done. False if the lane was dropped meanwhile: a late
        acknowledgement, which moves no offset."""
        if lane.dropped:
            return False
        self.in_flight -= 1
        if (
            lane.taken == 1
        ):  # one record at a time is how most handlers work: what `_done` does, without its loop
            partition = lane.partition
            partition.tracker.finish(lane.items.popleft()[0])
            partition.handled += 1
            partition.buffered -= 1
            self.buffered -= 1
        else:
            self._done(lane, lane.taken)
        lane.taken = lane.failures = 0
        if lane.items:
            self._ready.append(lane)
        else:
            del lane.partition.lanes[lane.key]
        return True

    def _done(self, lane: Lane[Place, Item], count: int) -> None:
        partition, items = lane.partition, lane.items
        finish = partition.tracker.finish
        for _ in range(count):
            finish(items.popleft()[0])
        partition.handled += count
        partition.buffered -= count
        self.buffered -= count

    def again(self, lane: Lane[Place, Item], *, now: bool, done: int = 0) -> bool:
        """Of the records of a busy lane that were taken, ``done`` are, and the next must be handled again: ``now``, or
        after :meth:`wake`.

        False if the lane was dropped meanwhile, or is now: what no commit needs is not tried again after
        :meth:`wind_down`.
        """
        if lane.dropped:
            return False
        self.in_flight -= 1
        if done:
            self._done(lane, done)
            lane.failures = 0
        lane.taken = 0
        lane.probe = False
        lane.failures += 1
        if not self._accepting:
            self._trim(lane.partition)
            if not lane.items:
                return False
        if now:
            if lane.partition.closed:
                lane.partition.stash.appendleft(lane)
            else:
                self._ready.append(lane)
        return True

    def wake(self, lane: Lane[Place, Item]) -> None:
        """A lane that waited may be taken again; nothing happens if it was dropped."""
        if not lane.dropped:
            self._ready.append(lane)

    def close(self, partition: Partition[Place, Item]) -> None:
        """No lane of ``partition`` may be taken, those in flight aside."""
        partition.closed = True

    def try_one(self, partition: Partition[Place, Item]) -> None:
        """Let one lane of a closed partition try whether it may open; open it if none waits."""
        while partition.stash:
            lane = partition.stash.popleft()
            if not lane.dropped:
                lane.probe = True
                self._ready.append(lane)
                return
        self.open(partition)

    def open(self, partition: Partition[Place, Item]) -> None:
        """The lanes of ``partition`` may be taken again."""
        partition.closed = False
        partition.failures = 0
        while partition.stash:
            lane = partition.stash.popleft()
            lane.probe = False
            self._ready.append(lane)

    def wind_down(self) -> None:
        """Take no further record, and hand out only what a commit needs, until a partition is added.

        Of each partition that is all up to the newest record that is finished or in flight: leaving a gap below it
        would make the next owner repeat what was finished above the gap. What waits there for another try goes on
        waiting for it.
        """
        self._accepting = False
        for partition in self._partitions.values():
            self._trim(partition)
        self._ready = deque(lane for lane in self._ready if not lane.dropped)

    def _trim(self, partition: Partition[Place, Item]) -> None:
        begun = [lane.items[lane.taken - 1][0] for lane in partition.lanes.values() if lane.taken]
        if partition.tracker.newest_finished is not None:
            begun.append(partition.tracker.newest_finished)
        last = max(begun, default=-1)
        another_tries = False
        for lane in list(partition.lanes.values()):
            while lane.items and lane.items[-1][0] > last:
                lane.items.pop()
                partition.buffered -= 1
                self.buffered -= 1
            if not lane.items:
                lane.dropped = True
                another_tries |= lane.probe
                del partition.lanes[lane.key]
        partition.stash = deque(lane for lane in partition.stash if not lane.dropped)
        if another_tries:
            self.try_one(partition)

    def drop(self) -> None:
        """Let all partitions go; what comes of records in flight concerns nobody any more."""
        for partition in self._partitions.values():
            for lane in partition.lanes.values():
                lane.dropped = True
        self._partitions.clear()
        self._ready.clear()
        self.in_flight = 0
        self.buffered = 0
