"""One consumer, in a process of its own: it reads a topic to its end and says what that took.

Its words are ``WHICH BROKERS TOPIC COUNT``. Every one decodes each value with our codec and does nothing with it.
``runtime``, ``batches``: ours, with a handler of one record and of many. ``faststream``: FastStream with manual
acknowledgement. ``aiokafka``: the client alone, a commit a second. ``lanes``: our runtime, and each record takes up to
five milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from prometheus_client import CollectorRegistry

from consumers.runtime.consumer import KafkaRuntime
from consumers.runtime.handling import Batches, Handler
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.options import RuntimeOptions
from consumers.runtime.record import ConsumedRecord
from infra.memory import settle_collector
from infra.settings import KafkaSettings
from schemas.codec import Codec
from schemas.ids import SchemaIds

_LONGEST_WORK: Final = 0.005
_TIMES_OF_WORK: Final = 10_007
"""A prime, so that the same key does not always get the same times."""


class Tally:
    """Counts records; from the first to the last it takes time and processor time."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._count = 0
        self._began = self._cpu_began = 0.0
        self._took = self._cpu = 0.0
        self.done = asyncio.Event()

    def begin(self) -> None:
        """The first record is here."""
        if not self._began:
            self._began, self._cpu_began = time.perf_counter(), time.process_time()

    def add(self, count: int = 1) -> None:
        """So many records more are done."""
        self._count += count
        if self._count >= self._wanted and not self._took:
            self._took = time.perf_counter() - self._began
            self._cpu = time.process_time() - self._cpu_began
            self.done.set()

    def answer(self) -> dict[str, float]:
        """What was measured."""
        return {"events": self._count, "seconds": self._took, "cpu_seconds": self._cpu}


async def runtime(
    brokers: str, topic: str, handler: Handler | Batches, tally: Tally, workers: int = 64
) -> None:
    """Our runtime, until all is done."""
    stop = asyncio.Event()
    consumer = KafkaRuntime(
        KafkaSettings(bootstrap_servers=brokers),
        [topic],
        handler,
        RuntimeOptions(group_id=_group(topic), workers=workers),
        RuntimeMetrics(CollectorRegistry()),
    )
    running = asyncio.create_task(consumer.run(stop))
    done = asyncio.create_task(tally.done.wait())
    await asyncio.wait({running, done}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    done.cancel()
    if not await running:
        raise RuntimeError("the runtime did not finish what was under way")


async def one_by_one(brokers: str, topic: str, tally: Tally) -> None:
    """Our runtime with a handler of one record."""
    decode = _codec().decode

    async def handle(record: ConsumedRecord) -> None:
        tally.begin()
        decode(record.value)
        tally.add()

    await runtime(brokers, topic, handle, tally)


async def batches(brokers: str, topic: str, tally: Tally) -> None:
    """Our runtime with a handler of many records."""
    decode = _codec().decode

    async def handle(records: Sequence[ConsumedRecord]) -> None:
        tally.begin()
        for record in records:
            decode(record.value)
        tally.add(len(records))

    await runtime(brokers, topic, Batches(handle), tally, workers=4)


async def lanes(brokers: str, topic: str, tally: Tally) -> None:
    """Our runtime, and work that waits; two records of one key at once, or out of order, are an error."""
    dice = random.Random(7)
    times = [dice.uniform(0, _LONGEST_WORK) for _ in range(_TIMES_OF_WORK)]
    newest: dict[bytes | None, int] = defaultdict(lambda: -1)
    busy: set[bytes | None] = set()

    async def handle(record: ConsumedRecord) -> None:
        tally.begin()
        if record.key in busy or record.offset < newest[record.key]:
            raise RuntimeError(f"{record.coordinates} is not handled in the order of its key")
        busy.add(record.key)
        newest[record.key] = record.offset
        await asyncio.sleep(times[record.offset % _TIMES_OF_WORK])
        busy.discard(record.key)
        tally.add()

    await runtime(brokers, topic, handle, tally, workers=RuntimeOptions(group_id="").workers)


async def aiokafka(brokers: str, topic: str, tally: Tally) -> None:
    """The client alone: as many records at once as it has, no order but that of the partition."""
    decode = _codec().decode
    consumer: Any = AIOKafkaConsumer(
        topic,
        bootstrap_servers=brokers,
        group_id=_group(topic),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    await consumer.start()
    committed = time.monotonic()
    try:
        while not tally.done.is_set():
            for records in (await consumer.getmany(timeout_ms=200)).values():
                tally.begin()
                for record in records:
                    decode(record.value)
                tally.add(len(records))
            if time.monotonic() - committed > 1:
                await consumer.commit()
                committed = time.monotonic()
    finally:
        await consumer.stop()


async def faststream(brokers: str, topic: str, tally: Tally) -> None:
    """FastStream as its documentation has it for manual acknowledgement: one record, then its commit."""
    from faststream import AckPolicy
    from faststream.kafka import KafkaBroker, KafkaMessage

    decode = _codec().decode
    broker = KafkaBroker(brokers, logger=None)

    async def handle(message: KafkaMessage) -> None:
        tally.begin()
        decode(message.body)
        await message.ack()
        tally.add()

    handle.__annotations__ = {
        "message": KafkaMessage,
        "return": None,
    }  # it looks at types, not at their names
    broker.subscriber(
        topic, group_id=_group(topic), auto_offset_reset="earliest", ack_policy=AckPolicy.MANUAL
    )(handle)
    async with broker:
        await broker.start()
        await tally.done.wait()


CONSUMERS: Final[Mapping[str, Callable[[str, str, Tally], Coroutine[Any, Any, None]]]] = {
    "runtime": one_by_one,
    "batches": batches,
    "lanes": lanes,
    "aiokafka": aiokafka,
    "faststream": faststream,
}


def _codec() -> Codec:
    return Codec(SchemaIds.local())


def _group(topic: str) -> str:
    return f"{topic}-{time.time_ns()}"


def main() -> None:
    """Do what ``sys.argv`` says."""
    _, which, brokers, topic, count = sys.argv
    tally = Tally(int(count))
    settle_collector()  # as our own processes do; for each contender alike
    asyncio.run(CONSUMERS[which](brokers, topic, tally))
    print(json.dumps(tally.answer()))


if __name__ == "__main__":
    main()
