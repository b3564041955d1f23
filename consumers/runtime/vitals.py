"""What a consumer notes about itself while it works, for its health and for its watchdog."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aiokafka import TopicPartition


@dataclass(slots=True)
class PartitionVitals:
    """What is known of one assigned partition beside what its lanes hold."""

    fetched: int | None = None
    """When the broker last answered for it, by aiokafka's own clock: only whether it changes counts."""
    fetched_at: float = 0.0
    """When that was last seen to change, or the partition was not to be read."""
    position: int | None = None
    """The offset of the next record to read."""
    end: int | None = None
    """The offset behind the newest record of the topic, as last heard."""
    newest_ms: int | None = None
    """Kafka timestamp of the newest record read."""
    head: int | None = None
    """The oldest offset read and not finished, as last seen."""
    head_since: float = 0.0
    """When it was first seen to be that."""


class Vitals:
    """Moments in the life of a consumer, in seconds of ``clock``."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.partitions: dict[TopicPartition, PartitionVitals] = {}
        self.polled_at: float | None = None
        """When the poll loop last came round."""
        self.assigned_at: float | None = None
        """When the group last told which partitions are this consumer's; None while it does not say."""
        self.unassigned_since: float | None = None
        self.committing_since: float | None = None
        """When the commit under way began; None while none is."""

    def joining(self) -> None:
        """The group has yet to say which partitions are this consumer's."""
        self.partitions.clear()
        self.assigned_at = None
        self.unassigned_since = self.clock()

    def assigned(self, places: Iterable[TopicPartition]) -> None:
        """The group has said so; there may be none."""
        now = self.clock()
        for place in places:
            self.partitions[place] = PartitionVitals(fetched_at=now, head_since=now)
        self.assigned_at = self.polled_at = now
        self.unassigned_since = None

    def polled(self) -> None:
        """The poll loop came round."""
        self.polled_at = self.clock()

    def read(self, place: TopicPartition, timestamp_ms: int) -> None:
        """Records of a partition were read, the last of them with this Kafka timestamp."""
        if (known := self.partitions.get(place)) is not None:
            known.newest_ms = timestamp_ms

    def head(self, place: TopicPartition, offset: int | None, now: float) -> None:
        """``offset`` is the oldest of a partition that is read and not finished."""
        known = self.partitions.get(place)
        if known is not None and known.head != offset:
            known.head, known.head_since = offset, now

    def missing(self) -> dict[str, float]:
        """Seconds since each sign of life was last seen, by its name: what the watchdog looks at."""
        now = self.clock()
        if self.assigned_at is None:
            return {"assignment": _since(self.unassigned_since, now)}
        fetched = min((each.fetched_at for each in self.partitions.values()), default=now)
        return {
            "poll": _since(self.polled_at, now),
            "commit": _since(self.committing_since, now),
            "fetch": now - fetched,
        }


def _since(moment: float | None, now: float) -> float:
    return 0.0 if moment is None else now - moment
