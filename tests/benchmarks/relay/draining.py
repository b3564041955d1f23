"""A backlog is drained: how soon, at what cost, and whether what arrived is what was committed."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from aiokafka import AIOKafkaConsumer, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, Consumer
from confluent_kafka import TopicPartition as Place

from infra.local import Component
from tests.benchmarks.machine import family_cpu, usage
from tests.benchmarks.processes import Running
from tests.benchmarks.relay.contenders import Contender
from tests.benchmarks.relay.servers import Ground

PARTITIONS: Final = 12
_LOOK_EVERY: Final = 0.01
_QUIET: Final = 1.0
"""Seconds without a new record after which the last one was the last."""


@dataclass(frozen=True, slots=True)
class Drain:
    """One backlog, drained. Seconds; CPU seconds of the relay, of PostgreSQL and of Kafka meanwhile."""

    rows: int
    start_seconds: float
    """From the start of the relay's process to the last record."""
    first_seconds: float
    """From the first record to the last."""
    cpu_seconds: float
    postgres_cpu_seconds: float
    kafka_cpu_seconds: float
    peak_mb: float

    @property
    def from_start(self) -> float:
        """Rows a second, the relay's own start included."""
        return self.rows / self.start_seconds

    @property
    def from_first(self) -> float:
        """Rows a second once it was under way."""
        return self.rows / self.first_seconds


async def drained(ground: Ground, contender: Contender, topic: str, rows: int, *, patience: float) -> Drain:
    """Start ``contender`` on a backlog of ``rows`` rows of ``topic``, and end it when all can be read.

    Raises TimeoutError after ``patience`` seconds, RuntimeError if the relay ends by itself.
    """
    servers = [ground.pid(Component.POSTGRES), ground.pid(Component.KAFKA)]
    before = [family_cpu(pid) for pid in servers]
    consumer = AIOKafkaConsumer(bootstrap_servers=ground.brokers, isolation_level=contender.isolation)
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        consumer.assign(places)
        async with contender.running(ground) as running:
            first, last = await _watched(consumer, places, rows, running, patience)
            used = usage(running.process.pid)
            after = [family_cpu(pid) for pid in servers]
    finally:
        await consumer.stop()
    postgres, kafka = (now - then for then, now in zip(before, after, strict=True))
    return Drain(rows, last - running.began, last - first, used.cpu_seconds, postgres, kafka, used.peak_mb)


async def _watched(
    consumer: AIOKafkaConsumer, places: list[TopicPartition], rows: int, running: Running, patience: float
) -> tuple[float, float]:
    """When the first record could be read, and the last. A transaction's end takes an offset too, so the count alone
    does not tell the last record: it is followed by silence."""
    first = last = 0.0
    seen = 0
    while True:
        count = sum((await consumer.end_offsets(places)).values())
        now = time.perf_counter()
        if count and not first:
            first = now
        if count != seen:
            seen, last = count, now
        if count >= rows and now - last > _QUIET:
            return first, last
        running.check()
        if now - running.began > patience:
            said = running.process.last_words()[-400:]
            raise TimeoutError(f"{count} records for {rows} rows after {patience:g} s: {said}")
        await asyncio.sleep(_LOOK_EVERY)


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a topic holds: records, different ids among them, records that stand behind a later one of their key, and
    the names of the headers that every record has."""

    records: int
    distinct: int
    inversions: int
    headers: frozenset[str]


async def arrived(ground: Ground, topic: str, *, isolation: str) -> Arrived:
    """Read a whole topic."""
    return await asyncio.to_thread(_read, ground.brokers, topic, isolation)


def _read(brokers: str, topic: str, isolation: str) -> Arrived:
    consumer: Any = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": f"reader-{topic}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
        }
    )
    ids: set[bytes] = set()
    newest: dict[bytes, bytes] = {}
    names: frozenset[str] | None = None
    records = inversions = ends = 0
    try:
        consumer.assign([Place(topic, partition, OFFSET_BEGINNING) for partition in range(PARTITIONS)])
        while ends < PARTITIONS:
            for message in consumer.consume(5_000, timeout=10) or _nothing(topic):
                if message.error():
                    ends += 1
                    continue
                records += 1
                headers = dict(message.headers())
                names = frozenset(headers) if names is None else names.intersection(headers)
                ids.add(headers["id"])
                key, sequence = message.key(), headers["ce_sequence"]
                inversions += newest.get(key, b"") > sequence
                newest[key] = max(sequence, newest.get(key, b""))
    finally:
        consumer.close()
    return Arrived(records, len(ids), inversions, names or frozenset())


def _nothing(topic: str) -> NoReturn:
    raise TimeoutError(f"{topic} could not be read to its end")
