"""A topic and a consumer for the tests of the runtime, which need neither Temporal nor a database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry

from consumers.runtime.backoff import Backoff
from consumers.runtime.consumer import KafkaRuntime
from consumers.runtime.handling import Batches, Handler
from consumers.runtime.health import HealthLimits, RuntimeHealth
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.options import RuntimeOptions
from infra.settings import KafkaSettings
from tests.waiting import until


@dataclass(slots=True)
class RuntimeWorld:
    """One topic of its own on a real broker, a producer, and consumers of one group."""

    bootstrap_servers: str
    topic: str
    producer: Any
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    async def send(self, pairs: Iterable[tuple[bytes | None, bytes]], partition: int | None = None) -> None:
        """Put records with these keys and values into the topic; return when the broker has them."""
        sent = [
            await self.producer.send(self.topic, value, key=key, partition=partition) for key, value in pairs
        ]
        await asyncio.gather(*sent)

    def options(self, **changes: Any) -> RuntimeOptions:
        """Options with short waits."""
        quick: dict[str, Any] = {
            "group_id": f"g-{self.topic}",
            "commit_interval": 0.2,
            "poll_timeout": 0.05,
            "session_timeout": 6.0,
            "drain_timeout": 0.5,
            "rebalance_timeout": 1.0,
            "stop_timeout": 3.0,
            "backoff": Backoff(first=0.02, limit=0.2),
        }
        return RuntimeOptions(**{**quick, **changes})

    @asynccontextmanager
    async def consuming(
        self, handler: Handler | Batches, limits: HealthLimits | None = None, **changes: Any
    ) -> AsyncIterator[Consuming]:
        """A consumer with partitions, until the end of the block, by when it has stopped."""
        registry = CollectorRegistry()
        health = RuntimeHealth(limits)
        registry.register(health)
        runtime = KafkaRuntime(
            KafkaSettings(bootstrap_servers=self.bootstrap_servers),
            [self.topic],
            handler,
            self.options(**changes),
            RuntimeMetrics(registry),
            health=health,
        )
        stop = asyncio.Event()
        running = asyncio.create_task(runtime.run(stop))
        ready = asyncio.create_task(runtime.ready())
        try:
            await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
            yield Consuming(runtime, health, registry, stop, running)
        finally:
            ready.cancel()
            stop.set()
            await running

    async def committed(self, partition: int = 0) -> int | None:
        """The group's committed offset."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(f"g-{self.topic}")
        finally:
            await admin.close()
        found = offsets.get(TopicPartition(self.topic, partition))
        return None if found is None or found.offset < 0 else int(found.offset)


@dataclass(frozen=True, slots=True)
class Consuming:
    """A consumer that runs."""

    runtime: KafkaRuntime
    health: RuntimeHealth
    registry: CollectorRegistry
    stop: asyncio.Event
    running: asyncio.Task[bool]

    def figure(self, name: str, **labels: str) -> float | None:
        """A figure as it would be scraped now."""
        return self.registry.get_sample_value(f"tidegate_consumer_{name}", labels)

    async def drained(self) -> bool:
        """Stop it; whether all that was under way was finished and committed."""
        self.stop.set()
        await until(self.running.done)
        return self.running.result()


@asynccontextmanager
async def runtime_world(
    bootstrap_servers: str, unique: str, partitions: int = 1
) -> AsyncIterator[RuntimeWorld]:
    """A topic that no other test has."""
    topic = f"runtime-{unique}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=partitions, replication_factor=1)])
    finally:
        await admin.close()
    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=5)
    await producer.start()
    try:
        yield RuntimeWorld(bootstrap_servers, topic, producer)
    finally:
        await producer.stop()
