"""The analytics application of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry

from consumers.analytics.application import AnalyticsApplication, AnalyticsMetrics, AnalyticsOptions
from consumers.analytics.reader import OrderEventReader
from consumers.analytics.sink import FORGET_EVENTS, FactsSink
from consumers.bridge.reading import RecordReader
from consumers.errors import MissingTopicError
from consumers.retention import Forgetter, Forgetting, kept_for
from infra.clients import postgres
from infra.clients.kafka import aiokafka_options, require_bootstrap
from infra.errors import MisuseError, UnavailableError
from infra.settings import KafkaSettings, Settings
from tidegate.wiring.schemas import open_schemas


async def serve_analytics(
    settings: Settings,
    options: AnalyticsOptions,
    registry: CollectorRegistry,
    stop: asyncio.Event,
    ready: Callable[[], None],
) -> bool:
    """Run the application until ``stop`` is set; whether it had finished and committed by its deadline.

    Raises MisuseError where an address, a topic or the tables are missing, UnavailableError where a server does not
    answer at the start.
    """
    remembered = kept_for(
        settings.retention.seen_events_days,
        options.topics,
        setting="TIDEGATE_RETENTION__SEEN_EVENTS_DAYS",
        letters=False,  # a dead letter is the bridge's; it comes here in its topic only
    )
    cluster_id = await _checked_cluster(settings.kafka, options.topics)
    schemas = await open_schemas(settings)
    try:
        async with await _checked_pool(settings) as pool:
            reader = RecordReader(schemas.codec, schemas.lookup, cluster_id=cluster_id)
            application = AnalyticsApplication(
                settings.kafka, OrderEventReader(reader), FactsSink(pool), AnalyticsMetrics(registry), options
            )
            forgetter = Forgetter(pool, Forgetting("seen events", FORGET_EVENTS, remembered))
            forgetting = asyncio.create_task(forgetter.run(stop), name="forgetter")
            try:
                return await application.run(stop, ready)
            finally:
                forgetting.cancel()
                await asyncio.gather(forgetting, return_exceptions=True)
    finally:
        await schemas.close()


async def _checked_pool(settings: Settings) -> asyncpg.Pool:
    try:
        pool = await postgres.create_pool(settings.postgres)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise UnavailableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
    if await pool.fetchval("SELECT to_regclass('analytics.order_facts')") is None:
        await pool.close()
        raise MisuseError("the analytics tables are not there: run `tidegate migrate`")
    return pool


async def _checked_cluster(settings: KafkaSettings, topics: Sequence[str]) -> str:
    """The cluster's id, once it is known to hold ``topics``: faust would wait for a missing one in silence."""
    admin = AIOKafkaAdminClient(**aiokafka_options(settings))
    try:
        await admin.start()
        missing = sorted(set(topics) - set(await admin.list_topics()))
        cluster_id = str((await admin.describe_cluster())["cluster_id"])
    except (KafkaError, OSError) as error:
        raise UnavailableError(f"Kafka at {require_bootstrap(settings)} does not answer: {error}") from error
    finally:
        await admin.close()
    if missing:
        raise MissingTopicError(f"the broker has no topic {', '.join(missing)}: run `tidegate topics apply`")
    return cluster_id
