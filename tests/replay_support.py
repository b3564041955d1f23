"""A topic of a test's own, with records in it, and what replay and redrive need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from temporalio.client import Client

import consumers.bridge
import consumers.replay
from consumers.analytics.sink import ReceivedEvent
from consumers.replay.selection import Selection
from consumers.replay.source import KafkaSource
from consumers.runtime.record import ConsumedRecord
from infra.local import Stack
from infra.migrations import migrate
from infra.secrets import Secret
from infra.settings import KafkaSettings, PostgresSettings, RegistrySettings, Settings, TemporalSettings
from infra.topics import dlq_of
from schemas.codec import Codec
from tidegate.wiring.schemas import open_schemas


@dataclass(frozen=True, slots=True)
class Ground:
    """Where one test works: settings for its own database, and its own topic with a dead-letter topic."""

    settings: Settings
    topic: str
    codec: Codec

    async def publish(self, told: Sequence[ReceivedEvent]) -> None:
        """Put events into the topic as a service's relay does."""
        await self.publish_raw(
            [
                (one.event.key.encode(), self.codec.encode(one.event), one.envelope.to_headers())
                for one in told
            ]
        )

    async def publish_raw(
        self, records: Sequence[tuple[bytes | None, bytes | None, list[tuple[str, bytes]]]]
    ) -> None:
        """Put bytes into the topic, one after the other."""
        async with AIOKafkaProducer(bootstrap_servers=self.settings.kafka.bootstrap_servers) as producer:
            for key, value, headers in records:
                await producer.send_and_wait(self.topic, key=key, value=value, headers=headers)

    async def records(self, topic: str | None = None) -> list[ConsumedRecord]:
        """Everything in the topic now."""
        source = KafkaSource(self.settings.kafka)
        return [
            record async for batch in source.read(Selection(topic=topic or self.topic)) for record in batch
        ]

    def environment(self) -> dict[str, str]:
        """The settings for a command that is run as a process."""
        dsn = self.settings.postgres.dsn
        return {
            "TIDEGATE_HOME": str(self.settings.home),
            "TIDEGATE_POSTGRES__DSN": dsn.get_secret_value() if dsn else "",
            "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": self.settings.kafka.bootstrap_servers or "",
            "TIDEGATE_REGISTRY__URL": self.settings.registry.url or "",
            "TIDEGATE_REGISTRY__PREFER_CACHE": "true",
            "TIDEGATE_TEMPORAL__ADDRESS": self.settings.temporal.address or "",
        }


@asynccontextmanager
async def prepared_ground(stack: Stack, dsn: str, unique: str, home: Path) -> AsyncIterator[Ground]:
    """Migrate the database at ``dsn``, make the topics, register the schemas."""
    addresses = stack.addresses
    settings = Settings(
        home=home,
        postgres=PostgresSettings(dsn=Secret(dsn)),
        kafka=KafkaSettings(bootstrap_servers=addresses.bootstrap_servers),
        registry=RegistrySettings(url=addresses.registry_url, prefer_cache=True),
        temporal=TemporalSettings(address=addresses.temporal_address),
    )
    await asyncio.to_thread(migrate, dsn, [consumers.bridge.MIGRATIONS, consumers.replay.MIGRATIONS])
    topic = f"oms.orders-{unique}"
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 3, 1), NewTopic(dlq_of(topic), 2, 1)])
    await admin.close()
    schemas = await open_schemas(settings)
    try:
        yield Ground(settings, topic, schemas.codec)
    finally:
        await schemas.close()


async def end_offsets(settings: Settings, topic: str, partitions: int = 2) -> dict[Any, int]:
    """How far each partition of ``topic`` goes."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(partitions)]
        return dict(await consumer.end_offsets(places))
    finally:
        await consumer.stop()


async def start_workflow(ground: Ground, order_id: str) -> Any:
    """Start the workflow ``fulfills-{order_id}``, which no worker serves: it takes signals, and does nothing."""
    client = await Client.connect(ground.settings.temporal.address or "")
    return await client.start_workflow("Anything", id=f"fulfills-{order_id}", task_queue=f"nobody-{order_id}")


async def signals_of(handle: Any) -> int:
    """How many signals stand in the workflow's history."""
    history = await handle.fetch_history()
    return sum(event.HasField("workflow_execution_signaled_event_attributes") for event in history.events)
