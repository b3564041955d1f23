"""Reads the records of a selection, from the broker, once, and ends where the topic ended when the reading began.

No consumer group is joined and nothing is committed: reading moves nobody's offsets.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError

from consumers.errors import MissingTopicError
from consumers.replay.selection import Selection, milliseconds
from consumers.runtime.record import ConsumedRecord, record_of
from infra.clients import kafka
from infra.errors import UnavailableError
from infra.settings import KafkaSettings


class RecordSource(Protocol):
    """Where selected records come from."""

    def read(self, selection: Selection) -> AsyncIterator[list[ConsumedRecord]]:
        """Batches of records that fit ``selection`` by place, time and key; each partition in its order."""


class KafkaSource:
    """Selected records of a topic on a broker."""

    def __init__(self, settings: KafkaSettings, *, batch_records: int = 1000) -> None:
        self._settings = settings
        self._batch_records = batch_records

    async def read(self, selection: Selection) -> AsyncIterator[list[ConsumedRecord]]:
        """See :class:`RecordSource`. Records that are written after the reading began are not read.

        Raises :class:`MissingTopicError`, and :class:`UnavailableError` when no broker answers.
        """
        async with self._consumer() as consumer:
            readings = await self._position(consumer, selection)
            while open_partitions := [reading for reading in readings if not reading.done]:
                fetched = await consumer.getmany(
                    *(each.partition for each in open_partitions),
                    timeout_ms=500,
                    max_records=self._batch_records,
                )
                batch = []
                for each in open_partitions:
                    records = fetched.get(each.partition, [])
                    batch += [record_of(record) for record in records if record.offset < each.end]
                    each.done = await consumer.position(each.partition) >= each.end
                    if each.done:
                        consumer.pause(each.partition)
                if taken := [record for record in batch if selection.takes(record)]:
                    yield taken

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        options = kafka.aiokafka_options(self._settings)
        consumer = AIOKafkaConsumer(
            **options, enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="none"
        )
        try:
            await consumer.start()
            yield consumer
        except KafkaConnectionError as error:
            raise UnavailableError(
                f"Kafka at {options['bootstrap_servers']} does not answer: {error}"
            ) from error
        finally:
            await consumer.stop()

    async def _position(self, consumer: AIOKafkaConsumer, selection: Selection) -> list[_Reading]:
        """Put the consumer at the first record of each partition, and say where each one ends."""
        partitions = await self._partitions(selection)
        starts = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        if selection.from_time is not None:
            moment = milliseconds(selection.from_time)
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, moment))
            starts = {each: found[each].offset if found[each] else ends[each] for each in partitions}
        readings = []
        for each in partitions:
            start = max(starts[each], selection.from_offset or 0)
            end = ends[each] if selection.to_offset is None else min(ends[each], selection.to_offset)
            if start < end:
                readings.append(_Reading(each, start, end))
        if readings:
            consumer.assign([reading.partition for reading in readings])
        for reading in readings:
            consumer.seek(reading.partition, reading.start)
        return readings

    async def _partitions(self, selection: Selection) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(**kafka.aiokafka_options(self._settings))
        try:
            await admin.start()
            (described,) = await admin.describe_topics([selection.topic])
        finally:
            await admin.close()
        known = {partition["partition"] for partition in described["partitions"]}
        if not known:
            raise MissingTopicError(
                f"the broker has no topic {selection.topic}: `tidegate topics list` shows them"
            )
        if missing := selection.partitions - known:
            raise MissingTopicError(
                f"topic {selection.topic} has partitions 0 to {max(known)}, "
                f"not {', '.join(map(str, sorted(missing)))}"
            )
        return [TopicPartition(selection.topic, number) for number in sorted(selection.partitions or known)]


class _Reading:
    """A partition being read from ``start`` up to ``end`` (exclusive)."""

    def __init__(self, partition: TopicPartition, start: int, end: int) -> None:
        self.partition = partition
        self.start = start
        self.end = end
        self.done = False
