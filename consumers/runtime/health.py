"""How a consumer is: what it holds, how far it is behind, and what is wrong with it, for people and for probes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import TopicPartition
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from consumers.runtime.lanes import Lanes, Partition
from consumers.runtime.record import ConsumedRecord
from consumers.runtime.vitals import PartitionVitals, Vitals

_PREFIX: Final = "tidegate_consumer"
_OF_A_PARTITION: Final = {
    "lag_records": "Records between the oldest that is not finished and the end of the partition.",
    "lag_seconds": "Age of the oldest record that is not finished, by its Kafka timestamp.",
    "oldest_in_flight_seconds": "How long the record that holds the partition's offset back has done so.",
    "in_hand_records": "Records read and not finished, of those that `high_water` bounds.",
    "span_records": "Records read since the oldest that is not finished, of those that `span` bounds.",
    "paused": "Whether the partition is not read now, because of its bounds or of all.",
    "closed": "Whether its records wait for what they are delivered into.",
}


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """Above which a figure is a problem; None: never. All but ``poll_age`` are seconds or records of one partition."""

    poll_age: float = 60.0
    """Seconds without a poll while partitions are assigned; the process is not alive then."""
    lag_records: int | None = None
    lag_seconds: float | None = None
    oldest_in_flight: float | None = None


@dataclass(frozen=True, slots=True)
class PartitionFigures:
    """One assigned partition now. A lag is None until the broker has said where the partition ends."""

    place: TopicPartition
    lag_records: int | None
    lag_seconds: float | None
    oldest_in_flight_seconds: float
    in_hand_records: int
    span_records: int
    paused: bool
    closed: bool


class RuntimeHealth(Collector):
    """The health of one `consumer.KafkaRuntime`, which is given to it; register it where its figures are scraped.

    ``alive`` and ``ready`` are what `infra.health.serve_health` asks. Everything is computed when it is asked for;
    where partitions end is looked up about once a second, of a paused one every ten.
    """

    def __init__(self, limits: HealthLimits | None = None) -> None:
        self._limits = limits or HealthLimits()
        self._vitals = Vitals()
        self._lanes: Lanes[TopicPartition, ConsumedRecord] = Lanes()

    def attend(self, lanes: Lanes[TopicPartition, ConsumedRecord]) -> Vitals:
        """This is the health of the consumer with these lanes; it notes what happens in what is returned."""
        self._lanes = lanes
        return self._vitals

    def alive(self) -> Sequence[str]:
        """Why this process should be started again, in sentences; empty while it should not."""
        vitals, limit = self._vitals, self._limits.poll_age
        if vitals.assigned_at is None or vitals.polled_at is None:
            return ()  # a rejoin blocks polling for as long as the group takes; the watchdog sees to its end
        age = vitals.clock() - vitals.polled_at
        return (f"the poll loop last came round {age:.0f} s ago (limit {limit:g} s)",) if age > limit else ()

    def ready(self) -> Sequence[str]:
        """Why this consumer does not do its work as it should now, in sentences; empty while it does."""
        return [*self.alive(), *self._joined(), *self._behind()]

    def _joined(self) -> Iterator[str]:
        vitals = self._vitals
        if vitals.assigned_at is None:
            since = vitals.unassigned_since
            waited = "" if since is None else f" for {vitals.clock() - since:.0f} s"
            yield f"the group has assigned no partitions{waited}"

    def _behind(self) -> Iterator[str]:
        limits = self._limits
        for each in self.partitions():
            name = f"{each.place.topic}[{each.place.partition}]"
            if each.closed:
                yield f"{name} waits for what its records are delivered into"
            if limits.lag_records is not None and (each.lag_records or 0) > limits.lag_records:
                yield f"{name} is {each.lag_records} records behind (limit {limits.lag_records})"
            if limits.lag_seconds is not None and (each.lag_seconds or 0) > limits.lag_seconds:
                yield f"{name} is {each.lag_seconds:.0f} s behind (limit {limits.lag_seconds:g} s)"
            oldest = each.oldest_in_flight_seconds
            if limits.oldest_in_flight is not None and oldest > limits.oldest_in_flight:
                yield f"{name}: a record is in flight for {oldest:.0f} s (limit {limits.oldest_in_flight:g} s)"

    def partitions(self) -> list[PartitionFigures]:
        """Each assigned partition."""
        vitals, now = self._vitals, self._vitals.clock()
        return [
            _figures(partition, known, now)
            for partition in self._lanes
            if (known := vitals.partitions.get(partition.place)) is not None
        ]

    def collect(self) -> Iterable[Metric]:
        """The figures as Prometheus gauges: of each partition, and the sum or the worst of all."""
        now, partitions = self._vitals.clock(), self.partitions()
        if (polled := self._vitals.polled_at) is not None:
            yield _gauge("poll_age_seconds", "Since the poll loop last came round.", now - polled)
        if (assigned := self._vitals.assigned_at) is not None:
            yield _gauge(
                "assignment_age_seconds", "Since the group last assigned partitions.", now - assigned
            )
        yield _gauge("assigned_partitions", "Partitions of this consumer.", len(partitions))
        records = [each.lag_records for each in partitions if each.lag_records is not None]
        seconds = [each.lag_seconds for each in partitions if each.lag_seconds is not None]
        oldest = [each.oldest_in_flight_seconds for each in partitions]
        yield _gauge("lag_records", "Sum of the partitions' lags in records.", sum(records))
        yield _gauge("lag_seconds", "Largest of the partitions' lags in seconds.", max(seconds, default=0.0))
        yield _gauge("oldest_in_flight_seconds", "Largest of the partitions'.", max(oldest, default=0.0))
        for name, says in _OF_A_PARTITION.items():
            family = GaugeMetricFamily(f"{_PREFIX}_partition_{name}", says, labels=["topic", "partition"])
            for each in partitions:
                if (value := getattr(each, name)) is not None:
                    family.add_metric([each.place.topic, str(each.place.partition)], float(value))
            yield family


def _gauge(name: str, says: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", says, value=value)


def _figures(
    partition: Partition[TopicPartition, ConsumedRecord], known: PartitionVitals, now: float
) -> PartitionFigures:
    oldest = partition.tracker.oldest_unfinished
    return PartitionFigures(
        place=partition.place,
        lag_records=_lag_records(oldest, known),
        lag_seconds=_lag_seconds(partition, known),
        oldest_in_flight_seconds=now - known.head_since
        if oldest is not None and oldest == known.head
        else 0.0,
        in_hand_records=partition.buffered,
        span_records=partition.tracker.unfinished,
        paused=partition.paused,
        closed=partition.closed,
    )


def _lag_records(oldest: int | None, known: PartitionVitals) -> int | None:
    begin = known.position if oldest is None else oldest
    return None if begin is None or known.end is None else max(0, known.end - begin)


def _lag_seconds(
    partition: Partition[TopicPartition, ConsumedRecord], known: PartitionVitals
) -> float | None:
    heads = (lane.items[0] for lane in partition.lanes.values())
    oldest = min(heads, key=lambda head: head[0], default=None)
    if oldest is not None:
        since = oldest[1].timestamp_ms
    elif _lag_records(None, known):
        since = known.newest_ms or 0  # the records to come are younger than the newest that was read
    else:
        return None if known.end is None else 0.0
    return max(0.0, time.time() - since / 1000) if since else None
