"""The whole stack for the bridge's benchmark: prepared, with workflows that listen."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
from confluent_kafka import Producer
from temporalio.client import Client

from infra.clients.postgres import require_dsn
from infra.clients.temporal import connect
from infra.local import EVERYTHING, Component, Stack, StackOptions, running_stack
from infra.local.kafka import LocalKafka
from infra.local.registry import LocalRegistry
from infra.local.temporal import LocalTemporal
from infra.settings import Settings
from schemas.codec import Codec
from tests.benchmarks.bridge.recipients import QUEUE, Recipient
from tests.benchmarks.postgres import COMMIT_TIMES, postgres_with
from tests.benchmarks.processes import guarded, ours, python
from tidegate.bootstrap import prepare
from tidegate.wiring.schemas import open_schemas
from workflows.contracts.orders import ORDER_FULFILLMENT

_STARTS_AT_ONCE: Final = 32

Message = tuple[bytes, bytes, Sequence[tuple[str, bytes]]]
"""Key, value, headers."""


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers that run, and clients of them."""

    stack: Stack
    settings: Settings
    connection: asyncpg.Connection[Any]
    client: Client
    codec: Codec
    brokers: str

    @property
    def home(self) -> Path:
        """Where files of this run may be put."""
        return self.stack.home

    @property
    def environment(self) -> dict[str, str]:
        """Of a process of ours."""
        return ours(self.stack.environment())


@dataclass(frozen=True, slots=True)
class Recipients:
    """Workflows that listen: the file in which their worker notes what they handled, and its process id."""

    notes: Path
    pid: int

    async def have_handled(self, signals: int, patience: float = 90) -> None:
        """Return once so many signals were handled in all: what was accepted is work that is still to be done."""
        end = time.monotonic() + patience
        while (found := await asyncio.to_thread(self._count)) < signals:
            if time.monotonic() > end:
                raise TimeoutError(f"{signals - found} of {signals} signals were not handled")
            await asyncio.sleep(0.25)

    def _count(self) -> int:
        return self.notes.read_bytes().count(b"\n") if self.notes.exists() else 0


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Servers; all gone at the end."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as home:
        Path(home).chmod(0o755)  # noqa: ASYNC240 - PostgreSQL runs as somebody else when we are root
        async with running_stack(
            Path(home),
            EVERYTHING,
            StackOptions(),
            factories={
                Component.POSTGRES: postgres_with(COMMIT_TIMES),
                Component.KAFKA: LocalKafka,
                Component.REGISTRY: LocalRegistry,
                Component.TEMPORAL: LocalTemporal,
            },
        ) as stack:
            settings = Settings(home=Path(home))
            await prepare(settings)
            schemas = await open_schemas(settings)
            connection = await asyncpg.connect(require_dsn(settings.postgres))
            try:
                client = await connect(settings.temporal)
                assert settings.kafka.bootstrap_servers is not None
                yield Ground(
                    stack, settings, connection, client, schemas.codec, settings.kafka.bootstrap_servers
                )
            finally:
                await connection.close()
                await schemas.close()


@asynccontextmanager
async def recipients(ground: Ground, orders: Sequence[str]) -> AsyncIterator[Recipients]:
    """A running workflow for each order, and the worker that serves them."""
    notes = ground.home / "handled"
    address = ground.settings.temporal.address
    assert address is not None
    command = python("tests.benchmarks.bridge.recipients", address, str(notes))
    async with guarded("recipients", command, ground.home, ground.environment) as worker:
        await worker.says("ready")
        queue = iter(orders)

        async def start() -> None:
            for order_id in queue:
                await ground.client.start_workflow(
                    Recipient.run, id=ORDER_FULFILLMENT.workflow_id(order_id=order_id), task_queue=QUEUE
                )

        async with asyncio.TaskGroup() as group:
            for _ in range(_STARTS_AT_ONCE):
                group.create_task(start())
        yield Recipients(notes, worker.process.pid)


def publish(brokers: str, topic: str, messages: Iterable[Message]) -> None:
    """Put many records into a topic, where our own clients would put them; return when the broker has them
    (blocking)."""
    producer: Any = Producer(
        {
            "bootstrap.servers": brokers,
            "partitioner": "murmur2_random",
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    for key, value, headers in messages:
        producer.produce(topic, value, key, headers=list(headers))
    if left := producer.flush(120):
        raise RuntimeError(f"{left} records were not taken by {topic}")
