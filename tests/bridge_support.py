"""What the tests of the bridge share: a topic of their own, events in it, and a look at what Temporal has."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from opentelemetry.trace import Tracer
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflowservice.v1 import GetWorkflowExecutionHistoryRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

import consumers.bridge
from consumers.bridge.breaker import BreakerOptions
from consumers.bridge.dead_letters import DeadLetter
from consumers.bridge.route import Route
from consumers.runtime.backoff import Backoff
from consumers.runtime.options import RuntimeOptions
from consumers.runtime.record import ConsumedRecord
from infra.migrations import migrate
from infra.secrets import Secret
from infra.settings import KafkaSettings, PostgresSettings, RegistrySettings, Settings, TemporalSettings
from infra.topics import Topic, apply_topics, dlq_of
from schemas.codec import Codec
from schemas.envelope import Envelope
from schemas.event import Event
from schemas.events import OrderCancelRequested, PackCompleted, PickCompleted
from schemas.registry import Registry
from tests.waiting import until
from tidegate.wiring.bridge import Bridge, open_bridge

NOW = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
QUICK = Backoff(first=0.05, limit=0.5)


def picked(order_id: str) -> PickCompleted:
    """A pick report of the order."""
    return PickCompleted(order_id=order_id, picked_at=NOW)


def packed(order_id: str) -> PackCompleted:
    """A pack report of the order."""
    return PackCompleted(order_id=order_id, packed_at=NOW)


def cancel_requested(order_id: str) -> OrderCancelRequested:
    """A wish to cancel the order."""
    return OrderCancelRequested(order_id=order_id, requested_by="tests", requested_at=NOW)


@dataclass(frozen=True, slots=True)
class Sent:
    """An event as it was put into the topic."""

    event_id: UUID
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    partition: int
    offset: int


@dataclass(slots=True)
class World:
    """A topic with its dead letters, a database, and clients of everything."""

    settings: Settings
    topic: str
    group: str
    codec: Codec
    client: Client
    producer: Any
    pool: asyncpg.Pool
    partitions: int
    _orders: list[str] = field(default_factory=list)

    def order(self, name: str) -> str:
        """An order id that no other test has; its workflows are closed after the test."""
        order_id = f"{self.topic}-{name}"
        if order_id not in self._orders:
            self._orders.append(order_id)
        return order_id

    async def close_workflows(self) -> None:
        """Close what the test's orders started, so that no other test's worker takes it."""
        for order_id in self._orders:
            for kind in ("order-intake", "order-fulfillment"):
                with contextlib.suppress(RPCError):
                    await self.terminate(f"{kind}-{order_id}")

    async def publish(
        self,
        event: Event,
        *,
        event_id: UUID | None = None,
        key: bytes | None = b"?",
        value: bytes | None = b"?",
        headers: Mapping[str, bytes | None] | None = None,
        extensions: Mapping[str, str] | None = None,
        partition: int | None = None,
    ) -> Sent:
        """Put ``event`` into the topic; ``key``, ``value`` and single ``headers`` (None: without) replace its own."""
        identity = event_id or uuid4()
        envelope = Envelope(
            id=identity,
            type=event.TYPE,
            source="/tests",
            subject=event.key,
            time=NOW,
            extensions=extensions or {},
        )
        own = dict(envelope.to_headers()) | dict(headers or {})
        kept = tuple((name, raw) for name, raw in own.items() if raw is not None)
        sent_key = event.key.encode() if key == b"?" else key
        sent_value = self.codec.encode(event) if value == b"?" else value
        place = await self.producer.send_and_wait(
            self.topic, sent_value, key=sent_key, headers=list(kept), partition=partition
        )
        return Sent(identity, sent_key, sent_value, kept, place.partition, place.offset)

    def options(self, **changes: Any) -> RuntimeOptions:
        """Options of a consumer of this test's group, with short waits."""
        defaults: dict[str, Any] = {
            "group_id": self.group,
            "commit_interval": 0.2,
            "poll_timeout": 0.05,
            "session_timeout": 6.0,
            "drain_timeout": 3.0,
            "backoff": QUICK,
        }
        return RuntimeOptions(**{**defaults, **changes})

    @asynccontextmanager
    async def bridge(
        self,
        routes: Sequence[Route] | None = None,
        *,
        settings: Settings | None = None,
        breaker: BreakerOptions | None = None,
        spans: Tracer | None = None,
        **changes: Any,
    ) -> AsyncIterator[Bridge]:
        """A bridge that serves this test's topic until the block ends."""
        stop, ready = asyncio.Event(), asyncio.Event()
        async with open_bridge(
            settings or self.settings, routes=routes, breaker=breaker, look_every=0.1, spans=spans
        ) as bridge:
            serving = asyncio.create_task(
                bridge.serve(self.options(**changes), stop, topics=[self.topic], ready=ready.set)
            )
            try:
                await until(lambda: ready.is_set() or serving.done(), what="the bridge is ready")
                yield bridge
            finally:
                stop.set()
                await serving

    async def ledger(self, *event_ids: UUID) -> list[dict[str, Any]]:
        """The ledger's rows, in order; of these events only where any are given."""
        rows = await self.pool.fetch(
            "SELECT * FROM bridge.ledger WHERE $1::uuid[] = '{}' OR event_id = ANY($1) ORDER BY id",
            list(event_ids),
        )
        return [dict(row) for row in rows]

    async def outcomes(self, *event_ids: UUID) -> list[str]:
        """The outcomes in the ledger, in order."""
        return [row["outcome"] for row in await self.ledger(*event_ids)]

    async def settled(self, event_id: UUID, outcome: str) -> None:
        """Wait until the ledger says ``outcome`` of the event."""

        async def known() -> bool:
            return outcome in await self.outcomes(event_id)

        await until(known, what=f"{event_id} is {outcome}")

    async def parked(self) -> list[dict[str, Any]]:
        """The rows of the parked table, in order."""
        return [dict(row) for row in await self.pool.fetch("SELECT * FROM bridge.parked ORDER BY id")]

    async def start(self, workflow_id: str, *, queue: str | None = None) -> None:
        """Start a workflow that no worker serves: it takes signals, and does nothing."""
        await self.client.start_workflow("Idle", id=workflow_id, task_queue=queue or self.topic)

    async def terminate(self, workflow_id: str) -> None:
        """Close a workflow."""
        await self.client.get_workflow_handle(workflow_id).terminate()

    async def history(self, workflow_id: str) -> list[HistoryEvent]:
        """The history of the workflow's current run; empty where it does not exist."""
        request = GetWorkflowExecutionHistoryRequest(
            namespace=self.client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
        )
        events: list[HistoryEvent] = []
        while True:
            try:
                page = await self.client.workflow_service.get_workflow_execution_history(request, retry=True)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return []
            events += page.history.events
            if not page.next_page_token:
                return events
            request.next_page_token = page.next_page_token

    async def signals(self, workflow_id: str) -> list[tuple[str, str]]:
        """Name and event id of each signal in the workflow's history, in order."""
        return [
            (
                event.workflow_execution_signaled_event_attributes.signal_name,
                json.loads(
                    event.workflow_execution_signaled_event_attributes.header.fields["tidegate-event-id"].data
                ),
            )
            for event in await self.history(workflow_id)
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        ]

    async def dead_letters(self, count: int = 1) -> list[tuple[ConsumedRecord, DeadLetter]]:
        """The first ``count`` dead letters of the topic, as records and as what they hold."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka.bootstrap_servers, auto_offset_reset="earliest"
        )
        await consumer.start()
        found: list[tuple[ConsumedRecord, DeadLetter]] = []
        try:
            consumer.assign([TopicPartition(dlq_of(self.topic), 0)])
            async with asyncio.timeout(60):
                while len(found) < count:
                    message = await consumer.getone()
                    record = ConsumedRecord(
                        message.topic,
                        message.partition,
                        message.offset,
                        message.key,
                        message.value,
                        tuple(message.headers),
                        message.timestamp,
                    )
                    found.append((record, DeadLetter.of(record)))
        finally:
            await consumer.stop()
        return found

    async def dead_letter_count(self) -> int:
        """How many records the dead-letter topic holds."""
        place = TopicPartition(dlq_of(self.topic), 0)
        consumer = AIOKafkaConsumer(bootstrap_servers=self.settings.kafka.bootstrap_servers)
        await consumer.start()
        try:
            return int((await consumer.end_offsets([place]))[place])
        finally:
            await consumer.stop()

    async def committed(self) -> dict[int, int]:
        """The group's committed offsets, by partition; 0 where nothing is committed."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka.bootstrap_servers,
            group_id=self.group,
            enable_auto_commit=False,
        )
        await consumer.start()
        try:
            places = [TopicPartition(self.topic, number) for number in range(self.partitions)]
            return {place.partition: await consumer.committed(place) or 0 for place in places}
        finally:
            await consumer.stop()


def topic_of(name: str, partitions: int) -> Topic:
    """A topic as the manifest would describe it."""
    return Topic(name, "order_id", "tests", partitions, 1, 3_600_000, "delete", 2_097_152, False)


@asynccontextmanager
async def bridge_world(
    *,
    postgres_dsn: str,
    bootstrap_servers: str,
    registry_url: str,
    temporal_address: str,
    unique: str,
    partitions: int = 1,
) -> AsyncIterator[World]:
    """A world on the servers at these addresses; its clients are closed afterwards."""
    settings = Settings(
        postgres=PostgresSettings(dsn=Secret(postgres_dsn)),
        kafka=KafkaSettings(bootstrap_servers=bootstrap_servers),
        registry=RegistrySettings(url=registry_url, prefer_cache=True),
        temporal=TemporalSettings(address=temporal_address),
    )
    topic = f"t-{unique}"
    await asyncio.to_thread(migrate, postgres_dsn, [consumers.bridge.MIGRATIONS])
    await apply_topics(settings.kafka, [topic_of(topic, partitions), topic_of(dlq_of(topic), 1)])
    async with Registry(settings.registry) as registry:
        codec = Codec(await registry.resolve())
    client = await Client.connect(temporal_address)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, enable_idempotence=True)
    await producer.start()
    pool = await asyncpg.create_pool(postgres_dsn, min_size=1, max_size=2)
    try:
        world = World(settings, topic, f"g-{unique}", codec, client, producer, pool, partitions)
        yield world
        await world.close_workflows()
    finally:
        await producer.stop()
        await pool.close()
