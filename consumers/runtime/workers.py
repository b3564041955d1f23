"""A fixed number of workers that take lanes, handle what they hold, and do what its end asks for."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog
from aiokafka import TopicPartition

from consumers.errors import RetryLaterError
from consumers.runtime.backoff import Backoff
from consumers.runtime.handling import Batches, Handler, RecordLane, Together
from consumers.runtime.lanes import Lanes, Partition
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.record import ConsumedRecord
from consumers.runtime.retries import Retries

_log = structlog.get_logger()
_YIELD_EVERY: Final = 64
"""Records after which a worker lets others run, for handlers that never wait: polling must go on."""


def _nothing(_: Partition[TopicPartition, ConsumedRecord]) -> None:
    return None


class Workers:
    """Works on ``lanes`` with ``count`` tasks. There is no task per record.

    ``relieved`` is called when a record of a partition whose reading is paused was finished.
    """

    def __init__(
        self,
        lanes: Lanes[TopicPartition, ConsumedRecord],
        handler: Handler | Batches,
        *,
        count: int,
        backoff: Backoff,
        metrics: RuntimeMetrics,
        relieved: Callable[[Partition[TopicPartition, ConsumedRecord]], None] = _nothing,
    ) -> None:
        self._lanes = lanes
        self._count = count
        self._metrics = metrics
        self._relieved = relieved
        self._retries = Retries(lanes, backoff=backoff, metrics=metrics, wake=self.wake)
        self._handler = handler
        self._idle: deque[asyncio.Future[None]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._quiet: asyncio.Event = asyncio.Event()

    def start(self) -> None:
        """Start the tasks."""
        self._tasks = [asyncio.create_task(self._work(), name=f"worker-{n}") for n in range(self._count)]

    async def stop(self) -> None:
        """Cancel the tasks, in the middle of a record if need be; return when they are gone."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def failed(self) -> BaseException | None:
        """The error of a task that ended, which none does by itself."""
        for task in self._tasks:
            if task.done() and not task.cancelled():
                return task.exception()
        return None

    def wake(self) -> None:
        """There may be lanes to take, or none to wait for any more."""
        self._quiet.set()
        ready = self._lanes.ready
        while ready and self._idle:
            waiter = self._idle.popleft()
            if not waiter.done():
                waiter.set_result(None)
                ready -= 1

    async def drained(self, timeout: float) -> bool:
        """Wait until no record is in flight, none can be taken and none is tried again in time, at most ``timeout``
        seconds; whether so."""
        deadline = asyncio.get_running_loop().time() + timeout
        try:
            async with asyncio.timeout_at(deadline):
                while self._lanes.in_flight or self._lanes.ready or self._retries.due_by(deadline):
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    def _work(self) -> Coroutine[Any, Any, None]:
        handler = self._handler
        return self._batches(handler) if isinstance(handler, Batches) else self._one_by_one(handler)

    async def _one_by_one(self, handler: Handler) -> None:
        # One coroutine a record, the handler's own: a second around it would cost as much as the lane does.
        handled = 0
        while True:
            lane = self._lanes.take()
            if lane is None:
                await self._idles()
                continue
            record = lane.items[0][1]
            try:
                await handler(record)
            except RetryLaterError as error:
                self._failed(lane, record, error, 0)
            except Exception as error:
                _log.exception("a record could not be handled", record=record.coordinates)
                self._failed(lane, record, error, 0)
            else:
                self._finished(lane)
            handled += 1
            if handled >= _YIELD_EVERY:
                handled = 0
                await asyncio.sleep(0)

    async def _batches(self, batches: Batches) -> None:
        together = Together(batches, self._lanes, done=self._finished, not_done=self._failed)
        handled = 0
        while True:
            lane = self._lanes.take()
            if lane is None:
                await self._idles()
                continue
            handled += await together(lane)
            if handled >= _YIELD_EVERY:
                handled = 0
                await asyncio.sleep(0)

    async def _idles(self) -> None:
        """Return when there may be a lane to take."""
        if not self._lanes.in_flight:
            self._quiet.set()
        waiter = asyncio.get_running_loop().create_future()
        self._idle.append(waiter)
        await waiter

    def _finished(self, lane: RecordLane) -> None:
        probed, lane.probe = lane.probe, False
        count, partition = lane.taken, lane.partition
        if not self._lanes.finish(lane):
            self._metrics.late.inc(count)
        elif probed:
            self._retries.goes_on(partition)
        elif partition.paused:
            self._relieved(partition)

    def _failed(self, lane: RecordLane, record: ConsumedRecord, error: Exception, done: int) -> None:
        self._retries.settle(lane, record, error, done=done)
