"""What a consumer says of itself: figures of each partition, and problems in sentences."""

from __future__ import annotations

import time

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from consumers.runtime.health import HealthLimits, RuntimeHealth
from consumers.runtime.lanes import Lanes
from consumers.runtime.record import ConsumedRecord
from consumers.runtime.vitals import Vitals

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


class Consumer:
    """A consumer of two partitions, by hand, with a clock that only a test moves."""

    def __init__(self, limits: HealthLimits | None = None) -> None:
        self.now = 1000.0
        self.lanes: Lanes[TopicPartition, ConsumedRecord] = Lanes()
        self.health = RuntimeHealth(limits)
        self.vitals: Vitals = self.health.attend(self.lanes)
        self.vitals.clock = lambda: self.now
        self.registry = CollectorRegistry()
        self.registry.register(self.health)
        self.vitals.joining()

    def join(self) -> None:
        """The group assigns both partitions; nothing is in them."""
        for place in (P0, P1):
            self.lanes.add_partition(place)
        self.vitals.assigned([P0, P1])
        for known in self.vitals.partitions.values():
            known.end = known.position = 0

    def put(self, place: TopicPartition, key: bytes, offset: int, *, age: float) -> None:
        """A record that was produced ``age`` seconds ago is read, and behind it the partition ends."""
        stamp = int((time.time() - age) * 1000)
        self.lanes.put(place, key, offset, ConsumedRecord("t", place.partition, offset, key, b"", (), stamp))
        known = self.vitals.partitions[place]
        known.end = known.position = offset + 1
        self.vitals.read(place, stamp)
        self.poll()

    def poll(self) -> None:
        """The poll loop comes round."""
        self.vitals.polled()
        for partition in self.lanes:
            self.vitals.head(partition.place, partition.tracker.oldest_unfinished, self.now)

    def figure(self, name: str, place: TopicPartition | None = None) -> float | None:
        """A figure as it would be scraped now."""
        labels = {} if place is None else {"topic": place.topic, "partition": str(place.partition)}
        name = f"partition_{name}" if place is not None else name
        return self.registry.get_sample_value(f"tidegate_consumer_{name}", labels)


def test_without_an_assignment_a_consumer_is_alive_and_not_ready() -> None:
    """A rejoin is no reason for a new process, however long the group takes; what was assigned before is forgotten."""
    consumer = Consumer()
    consumer.now += 45
    assert consumer.health.alive() == ()
    assert consumer.health.ready() == ["the group has assigned no partitions for 45 s"]
    assert consumer.figure("assignment_age_seconds") is None
    consumer.join()
    assert consumer.health.ready() == []
    consumer.now += 3
    assert consumer.figure("assignment_age_seconds") == 3
    assert consumer.figure("assigned_partitions") == 2
    consumer.vitals.joining()
    consumer.lanes.drop()
    assert consumer.health.ready() == ["the group has assigned no partitions for 0 s"]
    assert consumer.figure("lag_records", P0) is None


def test_a_poll_loop_that_stands_still_is_not_alive() -> None:
    """Past its limit both probes fail; a poll mends them."""
    consumer = Consumer(HealthLimits(poll_age=60))
    consumer.join()
    consumer.now += 60
    assert consumer.health.alive() == ()
    consumer.now += 2
    assert consumer.health.alive() == ("the poll loop last came round 62 s ago (limit 60 s)",)
    assert consumer.health.ready() == list(consumer.health.alive())
    assert consumer.figure("poll_age_seconds") == 62
    consumer.poll()
    assert consumer.health.alive() == ()


def test_lag_counts_from_the_oldest_record_that_is_not_finished() -> None:
    """In records to the end, in seconds by its Kafka timestamp; of each partition, and the sum or worst of all."""
    consumer = Consumer(HealthLimits(lag_records=5, lag_seconds=30))
    consumer.join()
    for offset in range(10):
        consumer.put(P0, b"%d" % (offset % 2), offset, age=100 - offset)
    consumer.put(P1, b"k", 0, age=5)
    assert consumer.figure("lag_records", P0) == 10
    assert consumer.figure("lag_records") == 11
    assert consumer.figure("lag_seconds", P0) == pytest.approx(100, abs=20)
    assert consumer.figure("lag_seconds") == pytest.approx(consumer.figure("lag_seconds", P0), abs=20)
    first, second = consumer.health.ready()
    assert first == "t[0] is 10 records behind (limit 5)"
    assert second.startswith("t[0] is 10")
    while (lane := consumer.lanes.take()) is not None:
        consumer.lanes.finish(lane)
    assert consumer.figure("lag_records") == consumer.figure("lag_seconds") == 0
    assert consumer.health.ready() == []


def test_what_was_not_read_yet_is_behind_too() -> None:
    """A partition that is paused with nothing in hand is as far behind as its end says."""
    consumer = Consumer()
    consumer.join()
    consumer.put(P0, b"k", 0, age=50)
    lane = consumer.lanes.take()
    assert lane is not None
    consumer.lanes.finish(lane)
    consumer.vitals.partitions[P0].end = 501
    assert consumer.figure("lag_records", P0) == 500
    assert consumer.figure("lag_seconds", P0) == pytest.approx(50, abs=20)


def test_a_record_that_never_ends_is_seen_by_its_age() -> None:
    """However much goes on beside it: what holds the offset back is as old as it is."""
    consumer = Consumer(HealthLimits(oldest_in_flight=300))
    consumer.join()
    consumer.put(P0, b"stuck", 0, age=0)
    stuck = consumer.lanes.take()
    for offset in range(1, 400):
        consumer.now += 1
        consumer.put(P0, b"other", offset, age=0)
        other = consumer.lanes.take()
        assert other is not None
        consumer.lanes.finish(other)
    assert stuck is not None
    assert consumer.figure("oldest_in_flight_seconds", P0) == 399
    assert consumer.figure("oldest_in_flight_seconds", P1) == 0
    assert consumer.figure("in_hand_records", P0) == 1
    assert consumer.figure("span_records", P0) == 400
    assert consumer.health.ready() == ["t[0]: a record is in flight for 399 s (limit 300 s)"]
    consumer.lanes.finish(stuck)
    consumer.poll()
    assert consumer.figure("oldest_in_flight_seconds") == 0


def test_a_partition_that_waits_for_its_downstream_is_not_ready() -> None:
    """While what records are delivered into is away, the process lives and does not do its work."""
    consumer = Consumer()
    consumer.join()
    partition = consumer.lanes.partition(P1)
    assert partition is not None
    consumer.lanes.close(partition)
    assert consumer.health.alive() == ()
    assert consumer.health.ready() == ["t[1] waits for what its records are delivered into"]
    assert (consumer.figure("closed", P0), consumer.figure("closed", P1)) == (0, 1)


def test_what_the_watchdog_is_told() -> None:
    """While the group does not answer, only that is missing; then polls, commits under way, and the partition that the
    broker has been silent of for longest."""
    consumer = Consumer()
    consumer.now += 7
    assert consumer.vitals.missing() == {"assignment": 7}
    consumer.join()
    consumer.now += 5
    consumer.vitals.partitions[P0].fetched_at = consumer.now
    consumer.vitals.committing_since = consumer.now - 2
    assert consumer.vitals.missing() == {"poll": 5, "commit": 2, "fetch": 5}
    consumer.vitals.joining()
    assert consumer.vitals.missing() == {"assignment": 0}
