"""One poll loop that feeds lanes, and lets partitions go in good order.

Kept apart: what may run (`lanes`), who runs it (`workers`), what may be committed (`offsets`, `committing`), how it is
(`vitals`, `health`), when the client is given up (`watchdog`). Here is what Kafka needs: polling that never stops (a
member that does not poll is thrown out), and pausing so that memory is bounded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from consumers.errors import ConsumerError
from consumers.runtime.budget import pause_or_resume
from consumers.runtime.client import Listener, close_client, require_topics, start_client
from consumers.runtime.committing import Committer
from consumers.runtime.handling import Batches, Handler
from consumers.runtime.health import RuntimeHealth
from consumers.runtime.lanes import Lanes, Partition
from consumers.runtime.lookout import Lookout
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.namesakes import Namesakes
from consumers.runtime.options import RuntimeOptions
from consumers.runtime.record import ConsumedRecord, record_of
from consumers.runtime.workers import Workers
from infra.settings import KafkaSettings

_log = structlog.get_logger()
_PAUSE_AFTER_ERROR: Final = 1.0


async def _nothing() -> None:
    return None


class KafkaRuntime:
    """Reads ``topics`` in one consumer group and hands each record to ``handler``, in order per key: one at a time, or
    in :class:`~consumers.runtime.handling.Batches`.

    ``needs`` are topics that must be there besides, for what the handler writes.

    ``before_commit`` returns once everything handled so far is durable; offsets are committed only then.
    ``assigned`` is called, synchronously, when partitions were assigned and before any of their records is
    handled. ``health`` is kept up to date.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Sequence[str],
        handler: Handler | Batches,
        options: RuntimeOptions,
        metrics: RuntimeMetrics,
        *,
        needs: Sequence[str] = (),
        before_commit: Callable[[], Awaitable[None]] = _nothing,
        assigned: Callable[[], None] = lambda: None,
        health: RuntimeHealth | None = None,
    ) -> None:
        self._settings = settings
        self._topics = tuple(topics)
        self._needs = (*self._topics, *needs)
        self._options = options
        self._metrics = metrics
        self._on_assigned = assigned
        self._lanes: Lanes[TopicPartition, ConsumedRecord] = Lanes()
        self._vitals = (health or RuntimeHealth()).attend(self._lanes)
        self._workers = Workers(
            self._lanes,
            handler,
            count=options.workers,
            backoff=options.backoff,
            metrics=metrics,
            relieved=self._pause_or_resume,
        )
        self._committer = Committer(
            self._lanes,
            before_commit=before_commit,
            interval=options.commit_interval,
            records=options.commit_records,
            metrics=metrics,
            vitals=self._vitals,
        )
        self._lookout = Lookout(settings, options, self._lanes, self._vitals, metrics)
        self._namesakes = Namesakes(options.member, time.monotonic)
        self._client: Any = None
        self._epoch = 0
        self._ready = asyncio.Event()

    async def ready(self) -> None:
        """Return once partitions were assigned for the first time, be it none."""
        await self._ready.wait()

    async def run(self, stop: asyncio.Event) -> bool:
        """Consume until ``stop`` is set; then finish what is in flight, commit and leave, within
        ``stop_timeout``. Whether it was done by then: else the next process does some of it again.

        Raises :class:`UnavailableError` where no broker answers at the start, :class:`MissingTopicError` for
        a topic that is not there, :class:`ConsumerError` where Kafka refuses this consumer for good.
        """
        client = await start_client(self._settings, self._options)
        drained = True
        try:
            await require_topics(client, self._needs)
            self._workers.start()
            stopping = asyncio.create_task(stop.wait(), name="stopping")
            try:
                while client is not None:
                    client = await self._consume(client, stopping)
            finally:
                stopping.cancel()
                drained = await self._let_go_in_time()
        finally:
            await self._workers.stop()
            await close_client(self._client or client)
        return drained

    async def _consume(self, client: Any, stopping: asyncio.Task[Any]) -> Any | None:
        """Consume through ``client``; None when it is time to stop, or another client, for this one stands still."""
        given_up, self._client = self._client, client
        if given_up is not None:
            await self._let_go(given_up)
            await close_client(given_up)
        self._vitals.joining()
        client.subscribe(topics=self._topics, listener=Listener(client, self._revoked, self._take_over))
        poll = asyncio.create_task(self._poll(client), name="poll")
        commit = asyncio.create_task(self._committer.run(client), name="committer")
        watch = asyncio.create_task(self._lookout.replacement(client), name="lookout")
        try:
            await asyncio.wait({poll, commit, watch, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if watch.done():
                return watch.result()
            for ended in (poll, commit):
                if ended.done():
                    raise _reason(ended)
            return None
        finally:
            for task in (poll, commit, watch):
                task.cancel()
            await asyncio.gather(poll, commit, watch, return_exceptions=True)

    async def _poll(self, client: Any) -> None:
        timeout = int(self._options.poll_timeout * 1000)
        while True:
            if (failure := self._workers.failed) is not None:
                raise failure
            try:
                # No await may stand between this and the dispatch: aiokafka checks the assignment when it
                # hands records out, and a rebalance in between would put old records into new lanes.
                batches = await client.getmany(timeout_ms=timeout, max_records=self._options.poll_records)
                self._dispatch(batches)
            except KafkaError as error:
                if not error.retriable:
                    raise ConsumerError(
                        f"Kafka refuses group {self._options.group_id}: {type(error).__name__} {error}"
                    ) from error
                _log.warning("poll failed", reason=f"{type(error).__name__} {error}")
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
            else:
                if batches:  # what workers finish at once needs no pause
                    await asyncio.sleep(0)
            self._vitals.polled()
            self._balance()

    def _dispatch(self, batches: dict[TopicPartition, list[Any]]) -> None:
        put = self._lanes.put
        for place, messages in batches.items():
            for message in messages:
                record = record_of(message)
                put(place, record.key, record.offset, record)
            self._committer.read(len(messages))
            self._vitals.read(place, messages[-1].timestamp)
        if batches:
            self._workers.wake()

    def _balance(self) -> None:
        now = self._vitals.clock()
        for partition in self._lanes:
            self._pause_or_resume(partition)
            self._vitals.head(partition.place, partition.tracker.oldest_unfinished, now)
        self._count()

    def _count(self) -> None:
        self._metrics.paused.set(sum(partition.paused for partition in self._lanes))
        self._metrics.in_hand.set(self._lanes.buffered)
        for partition in self._lanes:
            if partition.handled:
                self._metrics.handled.labels(partition.place.topic).inc(partition.handled)
                partition.handled = 0

    def _pause_or_resume(self, partition: Partition[TopicPartition, ConsumedRecord]) -> None:
        pause_or_resume(partition, self._lanes, self._client, self._options)

    async def _revoked(self, client: Any) -> None:
        """The group takes the partitions of ``client``, to share them out anew."""
        if client is self._client:
            await self._let_go(client)

    def _take_over(self, client: Any, places: Iterable[TopicPartition]) -> None:
        """Partitions were assigned to ``client``; their reading begins at the last commit."""
        if client is not self._client:
            return
        self._on_assigned()
        self._namesakes.assigned()
        given = list(places)
        for place in given:
            self._lanes.add_partition(place)
        self._vitals.assigned(given)
        _log.info("partitions assigned", epoch=self._epoch, partitions=len(given))
        self._ready.set()

    async def _let_go(self, client: Any) -> bool:
        """Partitions are about to go: begin nothing new, drain, commit, forget. Whether all was done.

        What is still in flight at the deadline goes on, and its acknowledgement is dropped: the next owner
        handles the record again, with the same request id. So it does with what was finished above a record that
        waits for another try beyond the deadline.
        """
        self._vitals.joining()
        self._lanes.wind_down()
        self._workers.wake()
        drained = await self._workers.drained(self._options.drain_timeout)
        committed = False
        try:
            async with asyncio.timeout(self._options.drain_timeout):
                committed = await self._committer.commit(client)
        except TimeoutError:
            _log.warning("commit on revoke took too long", seconds=self._options.drain_timeout)
        left = self._lanes.in_flight
        again = sum(partition.tracker.above_head for partition in self._lanes)
        self._epoch += 1
        self._count()
        self._lanes.drop()
        _log.info(
            "partitions let go", epoch=self._epoch, drained=drained, left_in_flight=left, handled_again=again
        )
        return drained and committed

    async def _let_go_in_time(self) -> bool:
        try:
            async with asyncio.timeout(self._options.stop_timeout):
                return await self._let_go(self._client)
        except TimeoutError:
            _log.warning("stopped without a last commit: some records will be handled again")
            return False


def _reason(ended: asyncio.Task[None]) -> BaseException:
    """Why a task that never ends by itself did."""
    if ended.cancelled():
        return ConsumerError("the Kafka client's own coordination was cancelled")
    return ended.exception() or ConsumerError(f"the {ended.get_name()} ended")
