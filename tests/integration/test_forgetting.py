"""The ledger and the analytics' memory are kept as long as a record can come again, and then deleted bit by bit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest
import pytest_asyncio

import consumers.analytics
import consumers.bridge
from consumers.analytics.sink import FORGET_EVENTS
from consumers.bridge.ledger import FORGET
from consumers.retention import Forgetter, Forgetting, kept_for
from infra.errors import MisuseError
from infra.migrations import migrate

MONTH = timedelta(days=30)


@pytest_asyncio.fixture(loop_scope="session")
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """The bridge's and the analytics' tables, empty."""
    await asyncio.to_thread(
        migrate, postgres_dsn, [consumers.bridge.MIGRATIONS, consumers.analytics.MIGRATIONS]
    )
    async with asyncpg.create_pool(postgres_dsn, min_size=2, max_size=4) as opened:
        yield opened


async def _entries(pool: asyncpg.Pool, count: int, days_ago: int) -> None:
    await pool.execute(
        """
        INSERT INTO bridge.ledger (event_id, event_type, topic, partition, "offset", key, route, workflow_id, outcome,
                                   origin, delivery, at)
        SELECT gen_random_uuid(), 't', 'oms.orders', 0, n, 'k', 'r', 'w', 'delivered', 'live', 1,
               now() - make_interval(days => $2)
        FROM generate_series(1, $1) AS n
        """,
        count,
        days_ago,
    )


async def test_old_entries_are_deleted_in_batches_and_the_others_stay(pool: asyncpg.Pool) -> None:
    """More than two batches of old entries go, 10 of yesterday stay, two processes at it delete each entry once."""
    await _entries(pool, 25, 31)
    await _entries(pool, 10, 1)
    batches: list[int] = []
    forgetting = Forgetting("ledger", FORGET, MONTH, batch=10)

    class Counting(Forgetter):
        async def once(self) -> int:
            batches.append(await super().once())
            return batches[-1]

    await asyncio.gather(Counting(pool, forgetting).once(), Counting(pool, forgetting).once())
    await Counting(pool, forgetting).once()
    assert sum(batches) == 25
    assert await pool.fetchval("SELECT count(*) FROM bridge.ledger") == 10
    assert len(await pool.fetch(FORGET, timedelta(0), 3)) == 3


async def test_what_still_waits_is_remembered(pool: asyncpg.Pool) -> None:
    """The entry of an event that is parked stays, however old."""
    await _entries(pool, 2, 90)
    await pool.execute(
        """
        INSERT INTO bridge.parked (event_id, event_type, route, workflow_id, topic, partition, "offset", timestamp_ms,
                                   header_names, header_values, origin, deadline)
        SELECT event_id, 't', 'r', 'w', 'oms.orders', 0, 1, 0, '{}', '{}', 'live', now()
        FROM bridge.ledger ORDER BY id LIMIT 1
        """
    )
    assert await Forgetter(pool, Forgetting("ledger", FORGET, MONTH)).once() == 1
    assert await pool.fetchval("SELECT count(*) FROM bridge.ledger JOIN bridge.parked USING (event_id)") == 1


async def test_seen_events_are_forgotten(pool: asyncpg.Pool) -> None:
    """Ids seen before the topic's retention go, the others stay."""
    await pool.execute(
        "INSERT INTO analytics.seen_events SELECT gen_random_uuid(), now() - make_interval(days => n) "
        "FROM generate_series(1, 60) AS n"
    )
    assert await Forgetter(pool, Forgetting("seen events", FORGET_EVENTS, MONTH, batch=7)).once() == 31
    assert await pool.fetchval("SELECT max(now() - seen_at) < interval '30 days' FROM analytics.seen_events")


async def test_a_database_that_is_away_stops_nobody(pool: asyncpg.Pool) -> None:
    """The process goes on and looks again later."""
    stop = asyncio.Event()
    broken = Forgetter(
        pool, Forgetting("ledger", "SELECT FROM no.such_table WHERE $1::interval > '0' LIMIT $2", MONTH)
    )
    running = asyncio.create_task(broken.run(stop))
    await asyncio.sleep(0)
    stop.set()
    await asyncio.wait_for(running, 60)


def test_it_is_kept_as_long_as_the_topics() -> None:
    """By default as long as the longest of the topics and their dead letters, and a day; never less by a setting."""
    topics = ["oms.orders", "wms.warehouse"]
    assert kept_for(None, topics, setting="S") == timedelta(days=91)
    assert kept_for(None, topics, setting="S", letters=False) == timedelta(days=31)
    assert kept_for(400, topics, setting="S") == timedelta(days=400)
    with pytest.raises(MisuseError, match="S is 30, and the topics keep records for 90 days"):
        kept_for(30, topics, setting="S")
