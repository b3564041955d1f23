"""The bridge of a process, and the parts of it that replay, redrive and the commands that only look need."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from consumers.bridge.breaker import BreakerOptions, DeadLetterBreaker
from consumers.bridge.bridge import BridgeHandler, BridgeParts
from consumers.bridge.checking import Known, check_routes
from consumers.bridge.dead_letters import DeadLetters, Send
from consumers.bridge.ledger import FORGET, Ledger
from consumers.bridge.metrics import BridgeMetrics, DeliveryMetrics
from consumers.bridge.parking import Parking
from consumers.bridge.reading import RecordReader
from consumers.bridge.recording import Recorder
from consumers.bridge.route import Route
from consumers.bridge.routes import ROUTES
from consumers.bridge.table import RoutingTable
from consumers.bridge.temporal import TemporalGateway
from consumers.bridge.tracing import BridgeTracing
from consumers.bridge.unparking import Unparker, UnparkerParts
from consumers.errors import DownstreamUnavailableError
from consumers.retention import Forgetter, Forgetting, kept_for
from consumers.runtime.consumer import KafkaRuntime
from consumers.runtime.health import RuntimeHealth
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.options import RuntimeOptions
from infra.clients import postgres, temporal
from infra.clients.kafka import aiokafka_options, require_bootstrap
from infra.errors import UnavailableError
from infra.settings import DeadLettersSettings, KafkaSettings, PostgresSettings, Settings
from infra.topics import dlq_of
from infra.tracing import tracer
from schemas.events import EVENTS
from tidegate.wiring.schemas import open_schemas
from workflows.contracts import SIGNALS, TAKES, WORKFLOWS

_LARGEST_LETTER: Final = 2 * 1024 * 1024
"""Bytes: the largest value that a topic takes, with headers."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge that is connected to everything it needs."""

    settings: Settings
    table: RoutingTable
    handler: BridgeHandler
    ledger: Ledger
    parking: Parking
    unparker: Unparker
    forgetter: Forgetter
    registry: CollectorRegistry
    reader: RecordReader
    temporal: TemporalGateway
    recorder: Recorder
    dead_letters: DeadLetters

    async def serve(
        self,
        options: RuntimeOptions,
        stop: asyncio.Event,
        *,
        topics: Sequence[str] | None = None,
        ready: Callable[[], None] = lambda: None,
        health: RuntimeHealth | None = None,
    ) -> bool:
        """Consume ``topics`` (None: each that holds a routed event) until ``stop`` is set. Whether all that was under
        way then was finished and committed.

        ``ready`` is called once partitions are assigned; ``health`` is kept up to date. Raises as
        :meth:`KafkaRuntime.run`.
        """
        read = self.table.topics if topics is None else topics
        runtime = KafkaRuntime(
            self.settings.kafka,
            read,
            self.handler,
            options,
            RuntimeMetrics(self.registry),
            needs=[dlq_of(topic) for topic in read],
            before_commit=self.handler.flush,
            assigned=self.parking.mark_stale,
            health=health,
        )
        beside = [
            asyncio.create_task(self.unparker.run(stop), name="unparker"),
            asyncio.create_task(self.forgetter.run(stop), name="forgetter"),
            asyncio.create_task(_when(runtime.ready(), ready), name="ready"),
        ]
        try:
            return await runtime.run(stop)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


def checked_routes(routes: Sequence[Route] = ROUTES) -> Sequence[Route]:
    """``routes``, if each of them can work; else the :class:`~consumers.errors.RouteError` of the first
    fault."""
    takes = {workflow: TAKES.get(workflow, ()) for workflow in WORKFLOWS}
    check_routes(routes, Known.of(EVENTS, SIGNALS, takes))
    return routes


@asynccontextmanager
async def open_bridge(
    settings: Settings,
    *,
    routes: Sequence[Route] | None = None,
    registry: CollectorRegistry | None = None,
    breaker: BreakerOptions | None = None,
    identity: str = "tidegate-bridge",
    look_every: float = 1.0,
    spans: Tracer | None = None,
) -> AsyncIterator[Bridge]:
    """Connect a bridge; replay and redrive use its ``handler`` without serving.

    ``routes`` are taken as they are; without them the checked routing table. ``look_every`` is the seconds
    between looks at parked events; ``spans`` makes the spans, else the process's own tracer, if it has one.
    Raises MisuseError where an address is missing or the tables are, UnavailableError where a server does not answer.
    """
    table = RoutingTable(checked_routes() if routes is None else routes, EVENTS)
    figures = registry or CollectorRegistry()
    read = RoutingTable(ROUTES, EVENTS).topics
    remembered = kept_for(settings.retention.ledger_days, read, setting="TIDEGATE_RETENTION__LEDGER_DAYS")
    async with AsyncExitStack() as opened:
        schemas = await open_schemas(settings)
        opened.push_async_callback(schemas.close)
        pool = await opened.enter_async_context(_pool(settings.postgres))
        client = await temporal.connect(settings.temporal, identity=identity)
        cluster_id = await cluster_id_of(settings.kafka)
        send = await opened.enter_async_context(dead_letter_sender(settings.kafka))

        tracing = BridgeTracing(spans or tracer("tidegate.bridge"))
        gateway = TemporalGateway(client, metrics=DeliveryMetrics(figures), tracing=tracing)
        ledger, parking = Ledger(pool), Parking(pool)
        await ledger.check()
        reader = RecordReader(schemas.codec, schemas.lookup, cluster_id=cluster_id)
        metrics = BridgeMetrics(figures)
        gate = DeadLetterBreaker(
            breaker or breaker_options(settings.dead_letters),
            asyncio.get_running_loop().time,
            opened=metrics.breaker_opened.inc,
        )
        metrics.breaker_open.set_function(lambda: gate.is_open)
        dead_letters = DeadLetters(send)
        recorder = Recorder(ledger, dead_letters, gate, metrics, _utc_now)
        yield Bridge(
            settings=settings,
            table=table,
            handler=BridgeHandler(
                BridgeParts(table, reader, gateway, ledger, parking, recorder, metrics, tracing)
            ),
            ledger=ledger,
            parking=parking,
            unparker=Unparker(
                UnparkerParts(pool, parking, table, reader, gateway, recorder, metrics, tracing),
                interval=look_every,
            ),
            forgetter=Forgetter(pool, Forgetting("ledger", FORGET, remembered)),
            registry=figures,
            reader=reader,
            temporal=gateway,
            recorder=recorder,
            dead_letters=dead_letters,
        )


def breaker_options(settings: DeadLettersSettings) -> BreakerOptions:
    """When the bridge pauses, as it is set."""
    return BreakerOptions(
        window=settings.breaker_window,
        minimum=settings.breaker_minimum,
        ratio=settings.breaker_ratio,
        run=settings.breaker_run,
        cooldown=settings.breaker_rest,
    )


async def cluster_id_of(settings: KafkaSettings) -> str:
    """The id of the Kafka cluster, a part of the ids of foreign events. Raises UnavailableError."""
    admin = AIOKafkaAdminClient(**aiokafka_options(settings))
    try:
        await admin.start()
        return str((await admin.describe_cluster())["cluster_id"])
    except (KafkaError, OSError) as error:
        raise _kafka_is_away(settings, error) from error
    finally:
        await admin.close()


@asynccontextmanager
async def dead_letter_sender(settings: KafkaSettings) -> AsyncIterator[Send]:
    """``send(topic, key, value, headers)``, which returns when every in-sync replica has the record, and where."""
    producer: Any = AIOKafkaProducer(
        **aiokafka_options(settings), enable_idempotence=True, max_request_size=_LARGEST_LETTER
    )
    try:
        await producer.start()
    except (KafkaError, OSError) as error:
        await producer.stop()
        raise _kafka_is_away(settings, error) from error

    async def send(
        topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> tuple[int, int]:
        if key is None and value is None:
            value = b""  # aiokafka sends no record that is nothing but headers
        try:
            sent = await producer.send_and_wait(topic, value, key=key, headers=list(headers))
        except KafkaError as error:
            raise DownstreamUnavailableError(
                f"{topic} does not take a dead letter: {type(error).__name__} {error}"
            ) from error
        return sent.partition, sent.offset

    try:
        yield send
    finally:
        try:
            async with asyncio.timeout(1.0):
                await producer.stop()
        except (TimeoutError, KafkaError) as error:
            structlog.get_logger().warning("producer stopped in bad order", reason=type(error).__name__)


@asynccontextmanager
async def _pool(settings: PostgresSettings) -> AsyncIterator[asyncpg.Pool]:
    try:
        pool = await postgres.create_pool(settings)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise UnavailableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
    try:
        yield pool
    finally:
        try:
            async with asyncio.timeout(1.0):
                await pool.close()
        except TimeoutError:
            pool.terminate()


async def _when(fact: Awaitable[None], act: Callable[[], None]) -> None:
    await fact
    act()


def _kafka_is_away(settings: KafkaSettings, error: Exception) -> UnavailableError:
    return UnavailableError(
        f"Kafka at {require_bootstrap(settings)} does not answer: {error or type(error).__name__}"
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)
