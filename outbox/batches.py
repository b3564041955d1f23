"""Rows made into record batches: one a partition, in order, and what to do with a batch that Kafka refuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka

from outbox.errors import PublisherBrokenError
from outbox.headers import ExtensionHeaders
from outbox.layout import Layout
from outbox.options import RelayOptions
from outbox.partitioner import Partitioner
from outbox.publisher import BEHIND, Key, Refusal
from outbox.record_batch import RecordBatch
from outbox.varint import Varints
from outbox.window import Row


class InvalidRecordError(kafka.BrokerResponseError):  # type: ignore[misc]  # aiokafka has no types
    """The broker's own check of a record failed. aiokafka has no name for it and would call it UNKNOWN."""

    errno = 87
    message = "INVALID_RECORD"
    description = "This record has failed the validation on the broker and is rejected."


REFUSED_ROW: Final = (
    InvalidRecordError,
    kafka.MessageSizeTooLargeError,
    kafka.RecordListTooLargeError,
    kafka.InvalidTimestampError,
    kafka.PolicyViolationError,
)
"""The broker refuses a batch for what one of its records is: found by halving."""

REFUSED_TOPIC: Final = (
    kafka.UnknownTopicOrPartitionError,
    kafka.InvalidTopicError,
    kafka.TopicAuthorizationFailedError,
)
"""No record of this topic can be written."""

_SLICE: Final = 250
"""Rows prepared before other tasks get their turn."""


@dataclass(slots=True)
class Chunk:
    """Rows that go into one batch, which is built once and anew for each further attempt."""

    rows: list[Row]
    batch: RecordBatch | None = None


@dataclass(slots=True)
class Lane:
    """What goes to one partition, in order: each chunk is acknowledged before the next is sent."""

    topic: str
    partition: int
    chunks: list[Chunk]


@dataclass(slots=True)
class KafkaPage:
    """Lanes of one page, with what was refused so far and whose keys wait."""

    held: frozenset[Key]
    lanes: list[Lane] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    batches: int = 0
    committed: int = 0
    aborted: int = 0

    @property
    def ids(self) -> list[int]:
        """The rows in its lanes."""
        return [row["id"] for lane in self.lanes for chunk in lane.chunks for row in chunk.rows]

    def refuse(self, row: Row, reason: str) -> None:
        """Leave ``row`` out, and whatever comes after it with its key."""
        self.refusals.append(Refusal(row, reason))
        self.held |= {(row["topic"], row["key"])}

    def sendable(self, rows: Iterable[Row]) -> list[Row]:
        """The rows whose key is free; the others are refused as standing behind."""
        free: list[Row] = []
        for row in rows:
            if (row["topic"], row["key"]) in self.held:
                self.refusals.append(Refusal(row, BEHIND))
            else:
                free.append(row)
        return free


class BatchWriter:
    """Puts rows into batches, each row in the partition of its key; ``transactional`` batches belong to a
    transaction."""

    def __init__(self, options: RelayOptions, *, transactional: bool = False) -> None:
        self.layout = Layout()
        self._options = options
        self._transactional = transactional
        self._extensions = ExtensionHeaders()
        self._varints = Varints()
        self._partitioner = Partitioner()
        self._unknown_until: dict[str, float] = {}
        self._look_again_at: dict[str, float] = {}
        kafka.kafka_errors.setdefault(InvalidRecordError.errno, InvalidRecordError)

    async def write(self, producer: AIOKafkaProducer, rows: Sequence[Row], held: Iterable[Key]) -> KafkaPage:
        """Put ``rows`` into one batch a partition, in their order, without those of the keys in ``held``."""
        page = KafkaPage(frozenset(held))
        limit, locate, extensions_of = (
            self._options.max_record_bytes,
            self._partitioner.locate,
            self._extensions,
        )
        partitions: dict[str, int] = {}
        lanes: dict[tuple[str, int], Lane] = {}
        appends: dict[tuple[str, int], tuple[Any, list[Row]]] = {}
        for number, row in enumerate(rows, start=1):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
            _, topic, key, _, timestamp_ms, count, head, extensions, tail, value = row
            if page.held and (topic, key) in page.held:
                page.refusals.append(Refusal(row, BEHIND))
                continue
            spread = partitions.get(topic)
            if spread is None:
                spread = partitions[topic] = await self._partitions(producer, topic)
            if spread == 0 or len(value) > limit:
                page.refuse(row, _why(topic, spread, len(value), limit))
                continue
            key_bytes, hashed = locate(key)
            place = (topic, hashed % spread)
            more, written = extensions_of[extensions]
            record = (timestamp_ms, key_bytes, value, count + more, (head, written, tail))
            open_chunk = appends.get(place)
            if open_chunk is not None:
                add, chunk_rows = open_chunk
                if add(*record):
                    chunk_rows.append(row)
                    continue
            batch = self._batch()
            batch.add(*record)
            chunk = Chunk([row], batch)
            appends[place] = (batch.add, chunk.rows)
            lanes.setdefault(place, Lane(*place, [])).chunks.append(chunk)
        page.lanes = list(lanes.values())
        return page

    def _batch(self) -> RecordBatch:
        options = self._options
        return RecordBatch(
            options.batch_bytes,
            self._varints,
            compression=options.compression,
            transactional=self._transactional,
        )

    async def _partitions(self, producer: AIOKafkaProducer, topic: str) -> int:
        """Over how many partitions of ``topic`` keys are spread; 0 when the broker says, after the time of grace, that
        it does not know it."""
        clock = asyncio.get_running_loop().time
        known = producer.client.cluster.partitions_for_topic(topic)
        if known:
            return self.layout.spread(topic, len(known))
        if clock() < self._unknown_until.get(topic, 0):
            return await self._look_again(producer, topic)
        with suppress(TimeoutError, *REFUSED_TOPIC):
            found = await asyncio.wait_for(producer.partitions_for(topic), self._options.topic_grace)
            return self.layout.spread(topic, len(found))
        found = await self._insist(producer, topic)
        if found:
            return self.layout.spread(topic, len(found))
        self._unknown_until[topic] = clock() + 6 * self._options.topic_grace
        return 0

    async def _insist(self, producer: AIOKafkaProducer, topic: str) -> set[int] | None:
        """What the broker answers, however long it takes: a broker that is slow, or away, has refused nothing.

        Raises :class:`PublisherBrokenError` when it does not answer. Two questions, because the first may have been
        under way before the topic was among those asked for.
        """
        for _ in range(2):
            answered = await asyncio.wait_for(
                producer.client.force_metadata_update(), self._options.delivery_timeout
            )
            if not answered:
                raise PublisherBrokenError(f"no broker says whether there is a topic {topic}")
        known: set[int] | None = producer.client.cluster.partitions_for_topic(topic)
        return known

    async def _look_again(self, producer: AIOKafkaProducer, topic: str) -> int:
        """The same for a topic that was unknown a while ago; the broker is asked once a second and not waited for.

        So a retry by somebody who has just made the topic finds it.
        """
        clock = asyncio.get_running_loop().time
        if clock() < self._look_again_at.get(topic, 0):
            return 0
        self._look_again_at[topic] = clock() + 1
        producer.client.add_topic(topic)
        await asyncio.wait([producer.client.force_metadata_update()], timeout=1)
        known = producer.client.cluster.partitions_for_topic(topic)
        return self.layout.spread(topic, len(known)) if known else 0


def _why(topic: str, partitions: int, size: int, limit: int) -> str:
    if partitions == 0:
        return f"the broker does not know the topic {topic}, or we may not write to it"
    return f"the value has {size} bytes, more than the {limit} that are tried"
