"""What waits when a record cannot be handled: its key, its partition, or everything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiokafka import TopicPartition

from consumers.errors import ConsumerPausedError, DownstreamUnavailableError, KeyWaitsError
from consumers.runtime.backoff import Backoff
from consumers.runtime.lanes import Lane, Lanes, Partition
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.record import ConsumedRecord

_log = structlog.get_logger()


class Retries:
    """Decides when records that were not handled are tried again. ``wake`` is called when lanes may be taken."""

    def __init__(
        self,
        lanes: Lanes[TopicPartition, ConsumedRecord],
        *,
        backoff: Backoff,
        metrics: RuntimeMetrics,
        wake: Callable[[], None],
    ) -> None:
        self._lanes = lanes
        self._backoff = backoff
        self._metrics = metrics
        self._wake = wake
        self._all_paused_until = 0.0

    def settle(
        self,
        lane: Lane[TopicPartition, ConsumedRecord],
        record: ConsumedRecord,
        error: Exception,
        *,
        done: int = 0,
    ) -> None:
        """``record`` of a busy lane could not be handled for ``error``; ``done`` records of the lane before it were.

        An error that is not a :class:`~consumers.errors.RetryLaterError` is a failure that nobody foresaw: the record
        is not lost and not passed over, its key waits.
        """
        match error:
            case ConsumerPausedError():
                self._all_pause(lane, record, error, done)
            case DownstreamUnavailableError():
                self._partition_pauses(lane, record, error, error.retry_after, done)
            case KeyWaitsError():
                self._key_waits(lane, record, error, error.retry_after, done)
            case _:
                self._key_waits(lane, record, error, None, done)

    def due_by(self, time: float) -> bool:
        """Whether anything that waits is tried again by then; ``time`` is that of the running loop."""
        return any(
            _by(partition.due, time) or any(_by(lane.due, time) for lane in partition.lanes.values())
            for partition in self._lanes
            if partition.lanes
        )

    def goes_on(self, partition: Partition[TopicPartition, ConsumedRecord]) -> None:
        """The lane that tried has been handled: its partition opens."""
        _log.info("partition goes on", topic=partition.place.topic, partition=partition.place.partition)
        self._lanes.open(partition)
        self._wake()

    def _key_waits(
        self,
        lane: Lane[TopicPartition, ConsumedRecord],
        record: ConsumedRecord,
        error: Exception,
        retry_after: float | None,
        done: int,
    ) -> None:
        probed, lane.probe = lane.probe, False
        if self._lanes.again(lane, now=False, done=done):
            delay = self._backoff.after(lane.failures) if retry_after is None else retry_after
            if lane.failures == 1:
                _log.warning(
                    "key waits", record=record.coordinates, reason=str(error), seconds=round(delay, 2)
                )
            self._metrics.retries.labels("key").inc()
            loop = asyncio.get_running_loop()
            lane.due = loop.time() + delay
            loop.call_at(lane.due, self._wake_lane, lane)
        if probed and self._has(lane.partition):  # the downstream answered; only this key cannot go on
            self._lanes.open(lane.partition)
            self._wake()

    def _wake_lane(self, lane: Lane[TopicPartition, ConsumedRecord]) -> None:
        lane.due = None
        self._lanes.wake(lane)
        self._wake()

    def _all_pause(
        self,
        lane: Lane[TopicPartition, ConsumedRecord],
        record: ConsumedRecord,
        error: ConsumerPausedError,
        done: int,
    ) -> None:
        now = asyncio.get_running_loop().time()
        delay = error.retry_after if error.retry_after is not None else self._backoff.limit
        if now >= self._all_paused_until:
            self._all_paused_until = now + delay
            _log.error(
                "consumer pauses", record=record.coordinates, reason=str(error), seconds=round(delay, 2)
            )
            for partition in self._lanes:
                if not partition.closed:
                    self._close(partition, delay)
        self._partition_pauses(lane, record, error, delay, done)

    def _partition_pauses(
        self,
        lane: Lane[TopicPartition, ConsumedRecord],
        record: ConsumedRecord,
        error: Exception,
        retry_after: float | None,
        done: int,
    ) -> None:
        probed, partition = lane.probe, lane.partition
        if self._lanes.again(lane, now=True, done=done):
            self._metrics.retries.labels("partition").inc()
            if partition.closed and not probed:
                return  # one of those in flight when it closed: they wait for the same try
        elif not (probed and self._has(partition)):
            return
        partition.failures += 1
        delay = self._backoff.after(partition.failures) if retry_after is None else retry_after
        _log.warning(
            "partition pauses",
            topic=record.topic,
            partition=record.partition,
            reason=str(error),
            seconds=round(delay, 2),
        )
        self._close(partition, delay)
        # `again` may have put the lane among the ready ones before the partition closed; taking stashes it.

    def _close(self, partition: Partition[TopicPartition, ConsumedRecord], delay: float) -> None:
        self._lanes.close(partition)
        loop = asyncio.get_running_loop()
        partition.due = loop.time() + delay
        loop.call_at(partition.due, self._try_one, partition)

    def _try_one(self, partition: Partition[TopicPartition, ConsumedRecord]) -> None:
        partition.due = None
        if self._has(partition):
            self._lanes.try_one(partition)
            self._wake()

    def _has(self, partition: Partition[TopicPartition, ConsumedRecord]) -> bool:
        return self._lanes.partition(partition.place) is partition


def _by(due: float | None, time: float) -> bool:
    return due is not None and due <= time
