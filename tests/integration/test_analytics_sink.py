"""The sink writes each event once, whatever comes again, whatever fails in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest_asyncio

import consumers.analytics
from consumers.analytics.facts import COLUMNS, OrderFacts, fold
from consumers.analytics.revenue import revenue_change
from consumers.analytics.sink import FactsSink, ReceivedEvent, UnreadableRecord
from infra.migrations import migrate
from schemas.events import OrderLine, OrderSubmitted
from tests.analytics_support import START, history, line, told_again
from tests.waiting import until

_BLOCKED = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


@pytest_asyncio.fixture(loop_scope="session")
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    await asyncio.to_thread(migrate, postgres_dsn, [consumers.analytics.MIGRATIONS])
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=8) as pool:
        yield pool


def many_orders(chance: random.Random, orders: int = 60) -> list[ReceivedEvent]:
    told: list[ReceivedEvent] = []
    for number in range(orders):
        lines = tuple(
            OrderLine(
                sku=f"S-{position}",
                quantity=chance.randint(1, 40),
                unit_price=Decimal(chance.randint(1, 99999)).scaleb(-2),
                discount=Decimal(chance.randint(0, 10000)).scaleb(-4),
            )
            for position in range(chance.randint(1, 4))
        )
        told += history(
            f"r-{number}",
            lines,
            currency=chance.choice(["EUR", "USD"]),
            start=START + timedelta(hours=chance.randint(0, 60)),
            end=chance.choice(["shipped", "shipped", "shipped", "failed", "cancelled", "rejected"]),
        )
    return told


def expected_facts(told: list[ReceivedEvent]) -> dict[str, OrderFacts]:
    facts: dict[str, OrderFacts] = {}
    for one in told:
        key = one.event.key
        facts[key] = fold(facts.get(key, OrderFacts(order_id=key)), one.event, one.envelope)
    return facts


async def tables(pool: asyncpg.Pool[asyncpg.Record]) -> tuple[dict[str, OrderFacts], dict[Any, Any]]:
    rows = await pool.fetch(f"SELECT {', '.join(COLUMNS)} FROM analytics.order_facts")
    days = await pool.fetch("SELECT * FROM analytics.revenue_by_day WHERE orders <> 0")
    return (
        {row["order_id"]: OrderFacts(**dict(row)) for row in rows},
        {(row["day"], row["currency"]): (row["orders"], row["gross"], row["net"]) for row in days},
    )


def expected_revenue(facts: dict[str, OrderFacts]) -> dict[Any, Any]:
    change = revenue_change([(OrderFacts(order_id=one.order_id), one) for one in facts.values()])
    return {(day.day, day.currency): (worth.orders, worth.gross, worth.net) for day, worth in change.items()}


async def test_duplicates_and_reordering_end_to_the_cent_as_the_plain_history(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    """Shuffled, repeated under the same and under new ids, cut into batches at random: the same tables."""
    chance = random.Random(7)
    told = many_orders(chance)
    arrived = told + chance.choices(told, k=80)
    arrived += [told_again(one, later=timedelta(minutes=9)) for one in chance.choices(told, k=40)]
    chance.shuffle(arrived)
    sink = FactsSink(pool)
    while arrived:
        size = chance.randint(1, 50)
        await sink.write(arrived[:size])
        del arrived[:size]
    facts, revenue = await tables(pool)
    plain = expected_facts(told)
    assert revenue == expected_revenue(plain)
    assert {key: (one.gross, one.net, one.shipped_at) for key, one in facts.items()} == {
        key: (one.gross, one.net, one.shipped_at) for key, one in plain.items()
    }


async def test_a_batch_that_comes_again_after_a_crash_changes_nothing(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    """Written, not acknowledged, read again: every event is a repeat and the tables stay as they were."""
    told = many_orders(random.Random(3), orders=10)
    sink = FactsSink(pool)
    first = await sink.write(told)
    before = await tables(pool)
    again = await sink.write(told)
    assert (first.folded, again.folded, again.repeated) == (len(told), 0, len(told))
    assert await tables(pool) == before


async def test_a_batch_that_fails_in_the_middle_leaves_nothing(
    postgres_dsn: str, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """The revenue row is held by somebody and the writer is killed: no event counts as seen; written again, all do."""
    told = history("r-1", (line(),))
    sink = FactsSink(pool)
    await sink.write(told)
    holder = await asyncpg.connect(postgres_dsn)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("SELECT * FROM analytics.revenue_by_day FOR UPDATE")
    more = history("r-2", (line(),))
    writing = asyncio.create_task(sink.write(more))

    async def blocked() -> bool:
        return bool(await holder.fetch(_BLOCKED))

    await until(blocked, what="the writer waits for the revenue row")
    await holder.execute("SELECT pg_terminate_backend($1)", (await holder.fetch(_BLOCKED))[0]["pid"])
    outcome = (await asyncio.gather(writing, return_exceptions=True))[0]
    assert isinstance(outcome, (asyncpg.PostgresError, asyncpg.InterfaceError, OSError))
    await transaction.rollback()
    await holder.close()
    assert await pool.fetchval("SELECT count(*) FROM analytics.seen_events") == len(told)
    assert (await sink.write(more)).folded == len(more)
    assert (await tables(pool))[1] == expected_revenue(expected_facts(told + more))


async def test_several_writers_at_once_neither_lose_nor_double(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Eight writers with overlapping batches on the same orders and days: no deadlock, the same tables."""
    chance = random.Random(11)
    told = many_orders(chance, orders=40)
    sink = FactsSink(pool)

    async def write(seed: int) -> None:
        own = random.Random(seed).sample(told, k=len(told))
        for first in range(0, len(own), 20):
            await sink.write(own[first : first + 20])

    await asyncio.gather(*(write(seed) for seed in range(8)))
    facts, revenue = await tables(pool)
    assert facts == expected_facts(told)
    assert revenue == expected_revenue(facts)


async def test_a_value_that_postgresql_cannot_hold_stops_only_its_own_event(
    pool: asyncpg.Pool[asyncpg.Record],
) -> None:
    """A NUL in a customer id is kept as a dead letter with its reason; the rest of the batch is folded."""
    good = history("r-1", (line(),))
    bad = history("r-2", (line(),))[0]
    assert isinstance(bad.event, OrderSubmitted)
    bad = replace(bad, event=replace(bad.event, customer_id="a\x00b"))
    written = await FactsSink(pool).write([*good[:1], bad, *good[1:]])
    assert (written.folded, written.unreadable) == (len(good), 1)
    assert await pool.fetchval("SELECT reason FROM analytics.dead_letters") is not None
    assert set((await tables(pool))[0]) == {good[0].event.key}


async def test_an_unreadable_record_is_kept_once_with_its_bytes(pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """Read again after a crash, it is still one dead letter."""
    record = replace(history("r-1", (line(),))[0].record, value=b"\x00\x01garbage", key=b"\xff")
    sink = FactsSink(pool)
    for _ in range(2):
        await sink.write([], [UnreadableRecord(record, "no event")])
    rows = await pool.fetch("SELECT key, value, reason FROM analytics.dead_letters")
    assert [tuple(row) for row in rows] == [(b"\xff", b"\x00\x01garbage", "no event")]
