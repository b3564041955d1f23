"""What workers do with what a handler says: wait for the key, for the partition, for all, or go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from consumers.errors import ConsumerPausedError, DownstreamUnavailableError, KeyWaitsError
from consumers.runtime.backoff import Backoff
from consumers.runtime.lanes import Lanes
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.record import ConsumedRecord
from consumers.runtime.workers import Workers
from tests.waiting import until

P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


class Bench:
    """Lanes with workers on them, fed by hand; notes what was handled, in order."""

    def __init__(self, handler: Callable[[ConsumedRecord], Awaitable[None]]) -> None:
        self.lanes: Lanes[TopicPartition, ConsumedRecord] = Lanes()
        self.handled: list[tuple[int, int]] = []
        self._handler = handler
        self._offset = {P0: 0, P1: 0}
        for place in (P0, P1):
            self.lanes.add_partition(place)
        self.metrics = RuntimeMetrics(CollectorRegistry())
        self.workers = Workers(
            self.lanes, self._handle, count=4, backoff=Backoff(0.01, 0.05), metrics=self.metrics
        )

    async def _handle(self, record: ConsumedRecord) -> None:
        await self._handler(record)
        self.handled.append((record.partition, record.offset))

    def feed(self, place: TopicPartition, key: bytes) -> int:
        """Put a record; its offset."""
        self._offset[place] += 1
        offset = self._offset[place]
        self.lanes.put(
            place, key, offset, ConsumedRecord(place.topic, place.partition, offset, key, b"", (), 0)
        )
        self.workers.wake()
        return offset

    def head(self, place: TopicPartition) -> int | None:
        """What could be committed of the partition."""
        partition = self.lanes.partition(place)
        return partition.tracker.commitable if partition else None

    def above_head(self, place: TopicPartition) -> int:
        """How many records of the partition the next owner would handle again."""
        partition = self.lanes.partition(place)
        return partition.tracker.above_head if partition else 0


@asynccontextmanager
async def bench(handler: Callable[[ConsumedRecord], Awaitable[None]]) -> AsyncIterator[Bench]:
    """A bench whose workers run."""
    made = Bench(handler)
    made.workers.start()
    try:
        yield made
    finally:
        await made.workers.stop()


async def test_a_key_that_waits_lets_others_pass() -> None:
    """KeyWaitsError keeps one key; other keys of the partition go on, and the head waits for the key."""
    blocked = True

    async def handler(record: ConsumedRecord) -> None:
        if record.key == b"a" and blocked:
            raise KeyWaitsError("busy", retry_after=0.01)

    async with bench(handler) as made:
        first, second, third = made.feed(P0, b"a"), made.feed(P0, b"a"), made.feed(P0, b"b")
        await until(lambda: made.handled == [(0, third)])
        assert made.head(P0) is None
        blocked = False
        await until(lambda: made.handled == [(0, third), (0, first), (0, second)])
        assert made.head(P0) == third + 1


async def test_an_unavailable_downstream_pauses_one_partition() -> None:
    """While a partition is closed one record at a time tries; other partitions go on; nothing changes its order."""
    down, tries, at_once = True, 0, 0
    now = 0

    async def handler(record: ConsumedRecord) -> None:
        nonlocal tries, at_once, now
        if record.partition == 0 and down:
            tries += 1
            now += 1
            at_once = max(at_once, now)
            await asyncio.sleep(0)
            now -= 1
            raise DownstreamUnavailableError("away")

    async with bench(handler) as made:
        first = [made.feed(P0, key) for key in (b"a", b"b", b"a", b"c", b"d", b"e")]
        await until(lambda: tries >= 4)
        at_once = 0
        first += [made.feed(P0, key) for key in (b"v", b"w", b"x", b"y", b"z")]
        beside = made.feed(P1, b"a")
        await until(lambda: tries >= 10 and (1, beside) in made.handled)
        assert at_once == 1
        assert made.head(P0) is None
        down = False
        await until(lambda: len(made.handled) == 12)
        assert made.head(P0) == first[-1] + 1
        assert made.handled.index((0, first[0])) < made.handled.index((0, first[2]))


async def test_a_consumer_that_pauses_closes_every_partition() -> None:
    """ConsumerPausedError stops all partitions until the pause is over."""
    bad = True

    async def handler(record: ConsumedRecord) -> None:
        if record.partition == 0 and bad:
            raise ConsumerPausedError("flood", retry_after=0.2)

    async with bench(handler) as made:
        made.feed(P0, b"a")
        await until(lambda: all(partition.closed for partition in made.lanes))
        bad = False
        made.feed(P1, b"a")
        await until(lambda: sorted(made.handled) == [(0, 1), (1, 1)])
        assert not any(partition.closed for partition in made.lanes)


async def test_an_unforeseen_error_neither_loses_nor_passes_over_a_record() -> None:
    """A handler with a bug is called again for the same record; its key waits, the worker lives on."""
    calls = 0

    async def handler(record: ConsumedRecord) -> None:
        nonlocal calls
        if record.key == b"a":
            calls += 1
            if calls < 3:
                raise ZeroDivisionError

    async with bench(handler) as made:
        first, second = made.feed(P0, b"a"), made.feed(P0, b"a")
        await until(lambda: made.handled == [(0, first), (0, second)])
        assert made.workers.failed is None


async def test_a_late_acknowledgement_moves_nothing() -> None:
    """A record that finishes after its partition was let go is not counted for the partition's next owner."""
    release = asyncio.Event()

    async def handler(record: ConsumedRecord) -> None:
        await release.wait()

    async with bench(handler) as made:
        made.feed(P0, b"a")
        await until(lambda: made.lanes.in_flight == 1)
        made.lanes.wind_down()
        assert not await made.workers.drained(0.01)
        made.lanes.drop()
        made.lanes.add_partition(P0)
        release.set()
        await until(lambda: made.handled == [(0, 1)])
        assert made.head(P0) is None
        assert made.lanes.in_flight == 0


async def test_draining_hands_out_nothing_more() -> None:
    """After wind_down what is in flight ends, and what waits behind it stays."""
    release = asyncio.Event()

    async def handler(record: ConsumedRecord) -> None:
        await release.wait()

    async with bench(handler) as made:
        first = made.feed(P0, b"a")
        made.feed(P0, b"a")
        await until(lambda: made.lanes.in_flight == 1)
        made.lanes.wind_down()
        release.set()
        assert await made.workers.drained(5)
        assert made.handled == [(0, first)]
        assert made.head(P0) == first + 1


async def test_draining_fills_the_gaps() -> None:
    """What lies below a finished record is still handled, so that the commit covers all that was finished."""
    release = asyncio.Event()

    async def handler(record: ConsumedRecord) -> None:
        if record.key == b"slow":
            await release.wait()

    async with bench(handler) as made:
        made.feed(P0, b"slow")
        made.feed(P0, b"slow")
        quick = made.feed(P0, b"quick")
        made.feed(P0, b"slow")
        await until(lambda: made.handled == [(0, quick)])
        made.lanes.wind_down()
        release.set()
        assert await made.workers.drained(5)
        assert sorted(made.handled) == [(0, 1), (0, 2), (0, quick)]
        assert made.head(P0) == quick + 1


@pytest.mark.parametrize(
    "error",
    [
        KeyWaitsError("busy"),
        DownstreamUnavailableError("away"),
        ConsumerPausedError("flood", retry_after=0.05),
    ],
)
async def test_draining_tries_again_what_waits_below_a_finished_record(error: Exception) -> None:
    """A record that waits when partitions go is handled in time, so that nothing above it is handled twice."""
    passed, down, failures = asyncio.Event(), True, 0

    async def handler(record: ConsumedRecord) -> None:
        nonlocal failures
        if record.key == b"quick":
            passed.set()
            return
        await passed.wait()
        if down:
            failures += 1
            raise error

    async with bench(handler) as made:
        slow, quick = made.feed(P0, b"slow"), made.feed(P0, b"quick")
        await until(lambda: failures >= 1 and made.handled == [(0, quick)])
        made.lanes.wind_down()
        drained = asyncio.create_task(made.workers.drained(60))
        await until(lambda: failures >= 3)
        assert not drained.done()
        down = False
        assert await drained
        assert made.handled == [(0, quick), (0, slow)]
        assert made.head(P0) == quick + 1


async def test_draining_waits_for_no_try_beyond_its_deadline() -> None:
    """A key that waits for an hour keeps nobody: what was finished above it is done again by the next owner."""
    passed = asyncio.Event()

    async def handler(record: ConsumedRecord) -> None:
        if record.key == b"stuck":
            await passed.wait()
            raise KeyWaitsError("held", retry_after=3600)
        passed.set()

    async with bench(handler) as made:
        made.feed(P0, b"stuck")
        made.feed(P0, b"quick")
        await until(lambda: made.lanes.in_flight == 0 and len(made.handled) == 1)
        made.lanes.wind_down()
        assert await made.workers.drained(60)
        assert made.head(P0) is None
        assert made.above_head(P0) == 1


async def test_draining_tries_nothing_again_that_no_commit_needs() -> None:
    """Where nothing above it is finished, a record that fails now, or waits already, is left to the next owner."""
    release, tries = asyncio.Event(), 0

    async def handler(record: ConsumedRecord) -> None:
        nonlocal tries
        tries += 1
        if record.partition == 0:
            await release.wait()
        raise DownstreamUnavailableError("away", retry_after=0.01 if record.partition == 0 else 1.0)

    async with bench(handler) as made:
        made.feed(P0, b"fails now")
        made.feed(P1, b"waits already")
        await until(lambda: tries == 2 and made.lanes.in_flight == 1)
        made.lanes.wind_down()
        release.set()
        assert await made.workers.drained(60)
        assert (tries, made.lanes.buffered) == (2, 0)


async def test_draining_ends_when_nothing_is_tried_after_all() -> None:
    """A partition that opens with nothing to try but what waits far longer keeps nobody."""
    passed = asyncio.Event()

    async def handler(record: ConsumedRecord) -> None:
        if record.partition == 0:
            raise ConsumerPausedError("flood", retry_after=0.2)
        if record.key == b"stuck":
            await passed.wait()
            raise KeyWaitsError("held", retry_after=3600)
        passed.set()

    async with bench(handler) as made:
        made.feed(P1, b"stuck")
        made.feed(P1, b"quick")
        await until(lambda: made.lanes.in_flight == 0 and len(made.handled) == 1)
        made.feed(P0, b"bad")
        await until(lambda: all(partition.closed for partition in made.lanes))
        made.lanes.wind_down()
        assert await made.workers.drained(60)
        assert made.above_head(P1) == 1


async def test_draining_goes_on_where_the_lane_that_tried_is_left() -> None:
    """The lane that tries for a closed partition may be one that no commit needs; then another one tries."""
    gates = {key: asyncio.Event() for key in (b"busy-1", b"busy-2", b"busy-3", b"needed", b"newest")}
    begun: list[bytes | None] = []

    async def handler(record: ConsumedRecord) -> None:
        begun.append(record.key)
        if record.key in gates:
            await gates[record.key].wait()
        if record.key == b"newest" or (record.key == b"needed" and begun.count(b"needed") == 1):
            raise DownstreamUnavailableError("away")

    async with bench(handler) as made:
        for key in (b"busy-1", b"busy-2", b"needed", b"quick"):
            made.feed(P0, key)
        await until(lambda: len(made.handled) == 1)
        last = made.feed(P0, b"busy-3")
        await until(lambda: b"busy-3" in begun)
        made.feed(P0, b"newest")
        gates[b"needed"].set()  # it fails; the newest stood before it, and is the one that tries
        await until(lambda: b"newest" in begun)
        made.lanes.wind_down()
        for gate in gates.values():
            gate.set()
        assert await made.workers.drained(60)
        assert begun.count(b"needed") == 2
        assert made.head(P0) == last + 1


async def test_draining_lets_another_lane_try_where_the_one_that_was_to_is_left() -> None:
    """When partitions go, the lane that is to try for a closed one may wait for a worker, and be one that no commit
    needs: the gap below what is finished is closed all the same."""
    lanes: Lanes[str, int] = Lanes()
    lanes.add_partition("p0")
    for offset, key in enumerate((b"needed", b"done", b"newest")):
        lanes.put("p0", key, offset, offset)
    (partition,) = lanes
    needed, done = lanes.take(), lanes.take()
    assert needed is not None
    assert done is not None
    lanes.finish(done)
    lanes.again(needed, now=True)  # behind the newest, which is therefore the one that tries
    lanes.close(partition)
    assert lanes.take() is None
    lanes.try_one(partition)
    lanes.wind_down()
    lane = lanes.take()
    assert lane is needed
    assert lane.probe
    lanes.finish(lane)
    assert partition.tracker.commitable == 2


@pytest.mark.parametrize("failures", [1, 2, 5, 40])
def test_backoff_doubles_to_its_limit(failures: int) -> None:
    """Waits double up to the limit, and jitter only shortens them."""
    backoff = Backoff(first=0.1, limit=10, jitter=0.2)
    full = min(10, 0.1 * 2.0 ** (failures - 1))
    assert backoff.after(failures, 0.0) == pytest.approx(full)
    assert backoff.after(failures, 0.999) >= 0.8 * full
