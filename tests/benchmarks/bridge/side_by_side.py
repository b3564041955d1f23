"""The parts of the bridge's benchmark that need no workflow: the runtime beside its peers, lanes, hostile payloads."""

from __future__ import annotations

import asyncio
import statistics
from typing import Any

from schemas.codec import Codec
from schemas.ids import SchemaIds
from tests import hostile
from tests.benchmarks.bridge.servers import Ground, publish
from tests.benchmarks.bridge.work import Scale, Speeds, pick_reports
from tests.benchmarks.processes import answer, python
from tests.benchmarks.reporting import Bars, Report, Table
from tests.outbox_support import make_topic


class Consumers:
    """These parts, on servers that run."""

    def __init__(self, ground: Ground, scale: Scale, report: Report) -> None:
        self._ground = ground
        self._scale = scale
        self._report = report

    async def side_by_side(self) -> None:
        """The runtime, FastStream and aiokafka alone read the same topic in turn."""
        topic = "bench-consumers"
        await make_topic(self._ground.brokers, topic, partitions=4)
        codec = Codec(SchemaIds.local())
        keys = [f"order-{number:05d}" for number in range(1_000)]
        await asyncio.to_thread(
            publish, self._ground.brokers, topic, pick_reports(codec, keys, self._scale.events)
        )
        speeds = {name: Speeds() for name in ("runtime", "batches", "aiokafka", "faststream")}
        for _ in range(self._scale.rounds):
            for name, found in speeds.items():
                count = self._scale.slow_events if name == "faststream" else self._scale.events
                found.add(await self._consumed(name, topic, count))
        figures = self._report.figures
        figures["runtime_ratio"] = round(speeds["runtime"].rate / speeds["faststream"].rate, 1)
        figures["runtime_per_core"] = round(speeds["runtime"].per_core)
        figures["runtime_batches_per_core"] = round(speeds["batches"].per_core)
        figures["runtime_of_bare_client"] = round(speeds["runtime"].rate / speeds["aiokafka"].rate, 2)
        names = {
            "runtime": "runtime, one record a call",
            "batches": "runtime, batches",
            "aiokafka": "aiokafka alone (getmany)",
            "faststream": "FastStream, manual ack",
        }
        rows = [(names[name], found.rate, found.per_core) for name, found in speeds.items()]
        title = "Consuming with Avro decode and a handler that does nothing"
        self._report.tables.append(Table(title, ("consumer", "events/s", "events per CPU second"), rows))
        self._report.charts.append(Bars(title, "events/s", [(row[0], row[1]) for row in rows]))

    async def lanes(self) -> None:
        """Messages that take a while, many keys on one partition."""
        topic = "bench-lanes"
        await make_topic(self._ground.brokers, topic, partitions=1)
        count = self._scale.lane_events
        keys = [f"order-{number:05d}" for number in range(100)]
        await asyncio.to_thread(
            publish, self._ground.brokers, topic, pick_reports(Codec(SchemaIds.local()), keys, count)
        )
        rounds = [await self._consumed("lanes", topic, count) for _ in range(self._scale.rounds)]
        seconds = statistics.median(found["seconds"] for found in rounds)
        self._report.figures["lanes_seconds"] = round(seconds, 3)
        self._report.tables.append(
            Table(
                f"{count:,} messages of 0 to 5 ms over 100 keys on one partition",
                ("consumer", "seconds"),
                [("runtime", seconds), ("Confluent's parallel consumer, as published for 10,000", 2.2)],
            )
        )

    async def _consumed(self, which: str, topic: str, count: int) -> dict[str, Any]:
        command = python("tests.benchmarks.bridge.consuming", which, self._ground.brokers, topic, str(count))
        return await answer(which, command, self._ground.home, self._ground.environment, patience=150)

    async def hostile_payloads(self) -> None:
        """The payload that takes longest to be refused."""
        by_hand, name = await asyncio.to_thread(hostile.slowest_payload)
        codec = hostile.codec_with_newer_writers()
        spoilt = await asyncio.to_thread(
            hostile.examine, codec.decode, hostile.mutated(codec, 1, self._scale.mutated)
        )
        if spoilt.escaped:
            raise RuntimeError(f"escaped: {dict(spoilt.escaped)}")
        self._report.figures["hostile_ms"] = round(by_hand, 2)
        self._report.tables.append(
            Table(
                "The slowest hostile payload",
                ("payload", "ms"),
                [
                    (f"by hand: {name}", by_hand),
                    (f"of {self._scale.mutated:,} spoilt events: {spoilt.slowest}", spoilt.slowest_ms),
                ],
            )
        )
