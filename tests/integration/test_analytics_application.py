"""The faust application on a real broker: at least once in, once at the sink."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry

import consumers.analytics
from consumers.analytics.application import AnalyticsApplication, AnalyticsMetrics, AnalyticsOptions
from consumers.analytics.errors import AnalyticsCrashedError
from consumers.analytics.reader import OrderEventReader
from consumers.analytics.sink import FactsSink, ReceivedEvent, UnreadableRecord, Written
from consumers.bridge.reading import RecordReader
from infra.migrations import migrate
from infra.settings import KafkaSettings
from schemas.catalog import Schema
from schemas.codec import Codec
from schemas.errors import UnknownSchemaError
from schemas.ids import SchemaIds
from schemas.lookup import SchemaLookup
from tests.analytics_support import history, line
from tests.integration.test_analytics_sink import expected_facts, expected_revenue, many_orders, tables
from tests.waiting import until
from tidegate.lag import GroupLag

CODEC = Codec(SchemaIds.local())


class NobodyKnows:
    """A registry that holds no schema."""

    async def fetch(self, schema_id: int) -> Schema:
        raise UnknownSchemaError(schema_id)


@pytest_asyncio.fixture(loop_scope="session")
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    await asyncio.to_thread(migrate, postgres_dsn, [consumers.analytics.MIGRATIONS])
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=4) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="session")
async def options(bootstrap_servers: str, unique: str) -> AsyncIterator[AnalyticsOptions]:
    """A topic and a group of this test's own."""
    topic = f"oms.orders-{unique}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 4, 1)])
    await admin.close()
    yield AnalyticsOptions(group=f"tidegate-analytics-{unique}", topics=(topic,), commit_interval=0.2)


@asynccontextmanager
async def running(
    bootstrap_servers: str, options: AnalyticsOptions, sink: Any, metrics: CollectorRegistry | None = None
) -> AsyncIterator[asyncio.Task[bool]]:
    """The application until the block is left; it stops as it does on SIGTERM."""
    stop, ready = asyncio.Event(), asyncio.Event()
    application = AnalyticsApplication(
        KafkaSettings(bootstrap_servers=bootstrap_servers),
        OrderEventReader(RecordReader(CODEC, SchemaLookup(CODEC, NobodyKnows()), cluster_id="test")),
        sink,
        AnalyticsMetrics(metrics or CollectorRegistry()),
        options,
    )
    task = asyncio.create_task(application.run(stop, ready.set))
    await until(lambda: ready.is_set() or task.done(), what="the application is ready")
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


async def publish(bootstrap_servers: str, topic: str, told: Sequence[ReceivedEvent]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for one in told:
            await producer.send(
                topic,
                key=one.event.key.encode(),
                value=CODEC.encode(one.event),
                headers=one.envelope.to_headers(),
            )


async def caught_up(bootstrap_servers: str, options: AnalyticsOptions) -> None:
    settings = KafkaSettings(bootstrap_servers=bootstrap_servers)
    async with GroupLag(settings, {options.group: options.topics}) as lag:

        async def no_lag() -> bool:
            return (await lag.look())[options.group] == 0

        await until(no_lag, what="analytics has no lag")


class FailsAfterWriting:
    """A sink whose process dies between the commit of a batch and its acknowledgement."""

    def __init__(self, sink: FactsSink) -> None:
        self._sink = sink

    async def write(
        self, received: Sequence[ReceivedEvent], unreadable: Sequence[UnreadableRecord] = ()
    ) -> Written:
        await self._sink.write(received, unreadable)
        raise RuntimeError("killed here")


async def test_the_tables_are_those_of_the_history_with_duplicates_and_reordering(
    bootstrap_servers: str, pool: asyncpg.Pool[asyncpg.Record], options: AnalyticsOptions
) -> None:
    """Events shuffled and repeated in the topic: facts and revenue as if each had come once, in order."""
    chance = random.Random(5)
    told = many_orders(chance)
    arrived = told + chance.choices(told, k=60)
    chance.shuffle(arrived)
    await publish(bootstrap_servers, options.topics[0], arrived)
    async with running(bootstrap_servers, options, FactsSink(pool)):
        await caught_up(bootstrap_servers, options)
    facts, revenue = await tables(pool)
    assert facts == expected_facts(told)
    assert revenue == expected_revenue(facts)


async def test_a_crash_between_the_transaction_and_the_acknowledgement_doubles_nothing(
    bootstrap_servers: str, pool: asyncpg.Pool[asyncpg.Record], options: AnalyticsOptions
) -> None:
    """The batch is read again by the next process, and every event of it is a repeat."""
    told = many_orders(random.Random(8), orders=20)
    await publish(bootstrap_servers, options.topics[0], told)
    sink = FactsSink(pool)
    with pytest.raises(AnalyticsCrashedError, match="killed here"):
        async with running(bootstrap_servers, options, FailsAfterWriting(sink)) as task:
            await until(task.done, what="the application crashed")
    assert await pool.fetchval("SELECT count(*) FROM analytics.seen_events") > 0
    metrics = CollectorRegistry()
    async with running(bootstrap_servers, options, sink, metrics):
        await caught_up(bootstrap_servers, options)
    facts, revenue = await tables(pool)
    assert facts == expected_facts(told)
    assert revenue == expected_revenue(facts)
    assert metrics.get_sample_value("tidegate_analytics_events_total", {"outcome": "repeated"}) > 0  # type: ignore[operator]


async def test_a_restart_goes_on_where_the_last_process_stopped(
    bootstrap_servers: str, pool: asyncpg.Pool[asyncpg.Record], options: AnalyticsOptions
) -> None:
    """What was acknowledged is committed on a clean stop: the next process reads none of it again."""
    first, second = history("r-1", (line(),)), history("r-2", (line(),))
    await publish(bootstrap_servers, options.topics[0], first)
    async with running(bootstrap_servers, options, FactsSink(pool)):
        await caught_up(bootstrap_servers, options)
    await publish(bootstrap_servers, options.topics[0], second)
    metrics = CollectorRegistry()
    async with running(bootstrap_servers, options, FactsSink(pool), metrics):
        await caught_up(bootstrap_servers, options)
    assert metrics.get_sample_value("tidegate_analytics_events_total", {"outcome": "repeated"}) in (None, 0)
    assert metrics.get_sample_value("tidegate_analytics_events_total", {"outcome": "folded"}) == len(second)


async def test_a_record_that_is_no_event_is_kept_counted_and_passed(
    bootstrap_servers: str, pool: asyncpg.Pool[asyncpg.Record], options: AnalyticsOptions
) -> None:
    """Garbage, an unknown schema id and a record without a value stop nobody behind them."""
    told = history("r-1", (line(unit_price="12.34"),))
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for value in (b"garbage", b"\x00\x00\x0f\x42\x40rest", None):
            await producer.send_and_wait(options.topics[0], key=told[0].event.key.encode(), value=value)
    await publish(bootstrap_servers, options.topics[0], told)
    metrics = CollectorRegistry()
    async with running(bootstrap_servers, options, FactsSink(pool), metrics):
        await caught_up(bootstrap_servers, options)
    assert await pool.fetchval("SELECT count(*) FROM analytics.dead_letters") == 3
    assert metrics.get_sample_value("tidegate_analytics_events_total", {"outcome": "unreadable"}) == 3
    assert await pool.fetchval("SELECT net FROM analytics.revenue_by_day") == Decimal("12.34")


async def test_the_application_waits_for_a_database_that_is_away(
    bootstrap_servers: str, pool: asyncpg.Pool[asyncpg.Record], options: AnalyticsOptions
) -> None:
    """Connections are killed again and again while a batch is written: it is tried again, nothing is passed over."""
    told = many_orders(random.Random(2), orders=30)

    class DiesTwice:
        failures = 0

        async def write(
            self, received: Sequence[ReceivedEvent], unreadable: Sequence[UnreadableRecord] = ()
        ) -> Written:
            if self.failures < 2:
                self.failures += 1
                raise ConnectionResetError("the database went away")
            return await FactsSink(pool).write(received, unreadable)

    metrics = CollectorRegistry()
    await publish(bootstrap_servers, options.topics[0], told)
    async with running(bootstrap_servers, options, DiesTwice(), metrics):
        await caught_up(bootstrap_servers, options)
    assert metrics.get_sample_value("tidegate_analytics_sink_retries_total") == 2
    assert (await tables(pool))[0] == expected_facts(told)
