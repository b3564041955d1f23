"""Handlers that take records together: order per key, an outcome for each record, one bad record alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from consumers.errors import DownstreamUnavailableError, KeyWaitsError
from consumers.runtime.backoff import Backoff
from consumers.runtime.handling import Batches
from consumers.runtime.lanes import Lanes
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.record import ConsumedRecord
from consumers.runtime.workers import Workers
from infra.errors import MisuseError
from tests.waiting import until

PLACE = TopicPartition("t", 0)
Outcomes = Sequence[Exception | None] | None
Sink = Callable[[list[str]], Awaitable[Outcomes]]


class Bench:
    """Lanes with one worker that handles batches of records; a record is named like ``a1``: key and number."""

    def __init__(self, sink: Sink, *, size: int, per_key: int | None) -> None:
        self.lanes: Lanes[TopicPartition, ConsumedRecord] = Lanes()
        self.lanes.add_partition(PLACE)
        self.batches: list[list[str]] = []
        self._sink = sink
        self._offset = 0
        self._registry = CollectorRegistry()
        self.workers = Workers(
            self.lanes,
            Batches(self._handle, size=size, per_key=per_key),
            count=1,
            backoff=Backoff(0.01, 0.02),
            metrics=RuntimeMetrics(self._registry),
        )

    async def _handle(self, records: Sequence[ConsumedRecord]) -> Outcomes:
        names = [(record.value or b"").decode() for record in records]
        self.batches.append(names)
        return await self._sink(names)

    def feed(self, names: str) -> None:
        """Put the records called so, in this order, before a worker can take one."""
        for name in names.split():
            record = ConsumedRecord("t", 0, self._offset, name[0].encode(), name.encode(), (), 0)
            self.lanes.put(PLACE, record.key, self._offset, record)
            self._offset += 1
        self.workers.wake()

    @property
    def late(self) -> float | None:
        """Records that finished after their partition was let go."""
        return self._registry.get_sample_value("tidegate_consumer_late_acknowledgements_total")

    @property
    def head(self) -> int | None:
        """What could be committed."""
        partition = self.lanes.partition(PLACE)
        return partition.tracker.commitable if partition else None


@asynccontextmanager
async def bench(sink: Sink, *, size: int = 100, per_key: int | None = None) -> AsyncIterator[Bench]:
    """A bench whose worker runs."""
    made = Bench(sink, size=size, per_key=per_key)
    made.workers.start()
    try:
        yield made
    finally:
        await made.workers.stop()


async def _all_done(_: list[str]) -> Outcomes:
    return None


@pytest.mark.parametrize(
    ("size", "per_key", "expected"),
    [
        (100, None, [["a1", "a2", "a3", "b1", "b2", "c1"]]),
        (100, 1, [["a1", "b1", "c1"], ["a2", "b2"], ["a3"]]),
        (4, None, [["a1", "a2", "a3", "b1"], ["c1", "b2"]]),
    ],
)
async def test_a_batch_is_what_waits(size: int, per_key: int | None, expected: list[list[str]]) -> None:
    """Up to ``size`` records, of each key at most ``per_key``, each key's in their order."""
    async with bench(_all_done, size=size, per_key=per_key) as made:
        made.feed("a1 b1 a2 c1 b2 a3")
        await until(lambda: made.head == 6)
        assert made.batches == expected


async def test_each_record_has_its_own_outcome() -> None:
    """A record that failed comes again, alone, and before the later ones of its key; the others are done."""
    failing = {"a2": 2}

    async def sink(names: list[str]) -> Outcomes:
        outcomes: list[Exception | None] = []
        for name in names:
            failing[name] = failing.get(name, 0) - 1
            outcomes.append(KeyWaitsError("not yet", retry_after=0.01) if failing[name] >= 0 else None)
        return outcomes

    async with bench(sink) as made:
        made.feed("a1 a2 b1 a3 b2")
        await until(lambda: made.head == 5)
        assert made.batches == [["a1", "a2", "a3", "b1", "b2"], ["a2"], ["a2"], ["a3"]]


async def test_the_head_stays_below_the_record_that_failed() -> None:
    """What is done above a record that is not may not be committed."""

    async def sink(names: list[str]) -> Outcomes:
        return [KeyWaitsError(retry_after=60.0) if name == "a2" else None for name in names]

    async with bench(sink) as made:
        made.feed("a1 a2 b1")
        await until(lambda: made.head == 1)
        assert made.lanes.buffered == 1


async def test_one_bad_record_does_not_hold_the_others_up() -> None:
    """What a handler raises holds for all its records: they come back one by one, and only the bad one fails again."""

    async def sink(names: list[str]) -> Outcomes:
        if "b1" in names:
            raise ValueError("b1 cannot be written")
        return None

    async with bench(sink) as made:
        made.feed("a1 b1 c1")
        await until(lambda: ["a1"] in made.batches and ["c1"] in made.batches and made.head == 1)
        assert made.batches[0] == ["a1", "b1", "c1"]
        assert all(len(batch) == 1 for batch in made.batches[1:])


async def test_a_record_that_failed_joins_no_batch() -> None:
    """It is tried alone also where others are ready before and after it."""
    release, failing = asyncio.Event(), True

    async def sink(names: list[str]) -> Outcomes:
        if names == ["x1"]:
            await release.wait()
        return [KeyWaitsError(retry_after=3600.0)] if failing and names == ["b1"] else None

    async with bench(sink) as made:
        made.feed("b1")
        await until(lambda: made.batches == [["b1"]] and made.lanes.in_flight == 0)
        failing = False
        (partition,) = made.lanes
        waiting = partition.lanes[b"b"]
        made.feed("x1")
        await until(lambda: made.lanes.in_flight == 1)
        made.feed("c1 d1")
        made.lanes.wake(waiting)
        made.feed("e1 f1")
        release.set()
        await until(lambda: made.head == 6)
        assert made.batches[1:] == [["x1"], ["c1", "d1"], ["b1"], ["e1", "f1"]]


async def test_answers_that_do_not_fit_are_none() -> None:
    """A handler that answers for fewer records than it was given has said nothing about any."""
    short = True

    async def sink(names: list[str]) -> Outcomes:
        return [] if short else None

    async with bench(sink) as made:
        made.feed("a1 b1")
        await until(lambda: len(made.batches) >= 3)
        assert made.head is None
        short = False
        await until(lambda: made.head == 2)


async def test_while_a_partition_is_closed_one_record_tries() -> None:
    """A sink that is away is asked with one record at a time, not with batches; then all go on in order."""
    away, written = True, list[str]()

    async def sink(names: list[str]) -> Outcomes:
        if away:
            raise DownstreamUnavailableError("away")
        written.extend(names)
        return None

    async with bench(sink) as made:
        made.feed("a1 a2 b1 b2 c1")
        await until(lambda: len(made.batches) >= 4)
        assert all(len(batch) == 1 for batch in made.batches[1:])
        away = False
        await until(lambda: made.head == 5)
        assert sorted(written, key=lambda name: name[0]) == ["a1", "a2", "b1", "b2", "c1"]


async def test_a_batch_that_ends_after_its_partition_went_moves_nothing() -> None:
    """Late acknowledgements of a batch are counted and dropped, all of them."""
    release = asyncio.Event()

    async def sink(names: list[str]) -> Outcomes:
        await release.wait()
        return [None] * (len(names) - 1) + [KeyWaitsError()]

    async with bench(sink) as made:
        made.feed("a1 a2 b1")
        await until(lambda: made.lanes.in_flight == 2)
        made.lanes.wind_down()
        assert not await made.workers.drained(0.01)
        made.lanes.drop()
        made.lanes.add_partition(PLACE)
        release.set()
        await until(lambda: made.late == 2)
        assert (made.head, made.lanes.in_flight) == (None, 0)


@pytest.mark.parametrize("bounds", [{"size": 0}, {"per_key": 0}])
def test_an_empty_batch_is_refused(bounds: dict[str, int]) -> None:
    """A batch holds at least one record."""
    with pytest.raises(MisuseError, match="at least one record"):
        Batches(lambda _: _all_done([]), **bounds)
