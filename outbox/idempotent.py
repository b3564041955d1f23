"""The `idempotent` profile: each row at least once, at the lowest latency.

What a crash may send twice are the pages whose cursor was not stored yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import errors as kafka

from outbox.batches import REFUSED_ROW, REFUSED_TOPIC, BatchWriter, Chunk, KafkaPage, Lane
from outbox.cursor import Cursor
from outbox.errors import PublisherBrokenError
from outbox.fencing import take_over
from outbox.identity import ClusterIdentity
from outbox.layout import Layout
from outbox.options import RelayOptions
from outbox.position import Position
from outbox.probe import Point, Probe
from outbox.producers import abandon, started_producer
from outbox.publisher import Advance, Key, Refusal
from outbox.window import Row


class IdempotentPublisher:
    """Batches through aiokafka's idempotent producer, ``acks=all``.

    ``connection`` are aiokafka's options that say where the brokers are.
    """

    keeps_cursor = False

    def __init__(
        self, connection: dict[str, Any], options: RelayOptions, *, probe: Probe | None = None
    ) -> None:
        self._connection = connection
        self._options = options
        self._probe = probe or Probe()
        self._producer: AIOKafkaProducer | None = None
        self._writer = BatchWriter(options)

    @property
    def layout(self) -> Layout:
        """Over which partitions keys are spread."""
        return self._writer.layout

    async def start(self) -> None:
        """Connect to the brokers; raises aiokafka's errors, or TimeoutError, when none answers."""
        self._producer = await started_producer(self._connection, self._options)

    async def take(self, identity: ClusterIdentity, cursors: Mapping[int, Cursor]) -> Mapping[int, Position]:
        """How far transactions came with the groups whose last relay made some; it can make no more.

        Another relay of this profile is shut out by the database only, when it stores its cursor.
        """
        named = [group for group, cursor in cursors.items() if cursor.window and cursor.window.name]
        if not named:
            return {}
        producers, positions = await take_over(self._connection, self._options, identity, named)
        for producer in producers.values():
            await abandon(producer)
        return positions

    async def leave(self, groups: Iterable[int]) -> None:
        """Nothing is kept for a group."""

    async def close(self) -> None:
        """Let go of the producer and of what it could not send."""
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await abandon(producer)

    async def prepare(self, rows: Sequence[Row], held: Iterable[Key]) -> KafkaPage:
        """Put ``rows`` into one batch a partition, in their order."""
        return await self._writer.write(self._started(), rows, held)

    async def send(self, page: KafkaPage, advance: Advance) -> Sequence[Refusal]:
        """Send every lane of ``page``; cut what is refused smaller until the refused rows are found."""
        lanes = page.lanes
        try:
            while lanes:
                lanes = await self._round(page, lanes)
        except (TimeoutError, kafka.KafkaError) as error:
            raise PublisherBrokenError(f"the producer gave up: {error!r}") from error
        await self._probe.reached(Point.ACKNOWLEDGED)
        await advance.secure(page.refusals)
        return page.refusals

    async def _round(self, page: KafkaPage, lanes: list[Lane]) -> list[Lane]:
        """Send each lane until it is through or refused; the lanes that are left to send, cut smaller."""
        outcomes = await asyncio.gather(
            *(self._send_lane(page, lane) for lane in lanes), return_exceptions=True
        )
        left: list[Lane] = []
        for lane, outcome in zip(lanes, outcomes, strict=True):
            if isinstance(outcome, REFUSED_TOPIC):
                for row in (row for chunk in lane.chunks for row in chunk.rows):
                    page.refuse(row, f"Kafka refuses topic {lane.topic}: {outcome!r}")
            elif isinstance(outcome, REFUSED_ROW):
                refused, *rest = lane.chunks
                middle = len(refused.rows) // 2
                halves = [Chunk(rows) for rows in (refused.rows[:middle], refused.rows[middle:])]
                if middle == 0:
                    page.refuse(refused.rows[0], f"Kafka refuses the record: {outcome!r}")
                    halves = []
                lane.chunks = halves + rest
                if lane.chunks:
                    left.append(lane)
            elif outcome is not None:
                raise outcome
        if any(outcome is not None for outcome in outcomes):
            # A refused batch leaves a gap in the producer's sequence numbers, and the broker takes nothing
            # more of that partition from it (OutOfOrderSequence): only a new producer goes on.
            await self.close()
            await self.start()
        return left

    async def _send_lane(self, page: KafkaPage, lane: Lane) -> None:
        """Send chunk by chunk, each acknowledged before the next; what is left in ``lane`` was not
        written."""
        producer = self._started()
        while lane.chunks:
            chunk = lane.chunks[0]
            free = page.sendable(chunk.rows) if page.held else chunk.rows
            if not free:
                lane.chunks.pop(0)
                continue
            batch = chunk.batch
            if batch is None or len(free) < len(chunk.rows):
                rebuilt = await self._again(page, free)
                lane.chunks[0:1] = rebuilt
                batch = rebuilt[0].batch
            chunk = lane.chunks[0]
            chunk.batch = None  # a batch is sent once; after a refusal its rows go into new ones
            acknowledged = await producer.send_batch(batch, lane.topic, partition=lane.partition)
            await self._probe.reached(Point.SENT)
            await asyncio.wait_for(acknowledged, self._options.delivery_timeout)
            page.batches += 1
            lane.chunks.pop(0)

    async def _again(self, page: KafkaPage, rows: Sequence[Row]) -> list[Chunk]:
        """The rows of one partition in new batches."""
        prepared = await self._writer.write(self._started(), rows, ())
        page.refusals += prepared.refusals
        return prepared.lanes[0].chunks

    def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise PublisherBrokenError("the producer is not connected")
        return self._producer
