"""The ledger on a real PostgreSQL: order, delivery numbers, answers before and after they are written."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

import asyncpg
import pytest
import pytest_asyncio

import consumers.bridge
from consumers.bridge.delivery import Outcome
from consumers.bridge.ledger import Ledger, LedgerEntry
from consumers.errors import DownstreamUnavailableError
from infra.errors import MisuseError
from infra.migrations import migrate


@pytest_asyncio.fixture(loop_scope="session")
async def pool(postgres_dsn: str) -> AsyncIterator[asyncpg.Pool]:
    """A pool on the bridge's tables."""
    await asyncio.to_thread(migrate, postgres_dsn, [consumers.bridge.MIGRATIONS])
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=4) as made:
        yield made


def entry(event_id: UUID, offset: int, outcome: Outcome = Outcome.DELIVERED, route: str = "r") -> LedgerEntry:
    """An entry of one partition."""
    return LedgerEntry(
        event_id, "T", "t", 0, offset, "k", route, "w", outcome, None, "live", datetime.now(UTC)
    )


async def test_a_batch_keeps_its_order_and_numbers_deliveries(pool: asyncpg.Pool) -> None:
    """Rows stand in the order in which entries came; each repetition of an event on a route has the next number."""
    ledger, again = Ledger(pool), uuid4()
    for offset in range(200):
        await ledger.write(entry(again if offset % 50 == 0 else uuid4(), offset))
    await ledger.flush()
    await ledger.write(entry(again, 200))
    await ledger.write(entry(again, 201, route="other"))
    await ledger.flush()
    rows = await pool.fetch('SELECT "offset", delivery, event_id, route FROM bridge.ledger ORDER BY id')
    assert [row["offset"] for row in rows] == list(range(202))
    mine = [(row["route"], row["delivery"]) for row in rows if row["event_id"] == again]
    assert mine == [("r", 1), ("r", 2), ("r", 3), ("r", 4), ("r", 5), ("other", 1)]


async def test_a_flush_that_is_given_up_writes_once(pool: asyncpg.Pool) -> None:
    """Cancelled between the statement and its answer: it is carried out, and the next flush does not repeat it."""
    written, answer = asyncio.Event(), asyncio.Event()

    class SlowToAnswer:
        async def execute(self, *arguments: Any) -> None:
            await pool.execute(*arguments)
            written.set()
            await answer.wait()

    ledger = Ledger(cast("asyncpg.Pool", SlowToAnswer()))
    await ledger.write(entry(uuid4(), 1))
    given_up = asyncio.create_task(ledger.flush())
    await written.wait()
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    await ledger.write(entry(uuid4(), 2))
    answer.set()
    await ledger.flush()
    rows = await pool.fetch('SELECT "offset" FROM bridge.ledger ORDER BY id')
    assert [row["offset"] for row in rows] == [1, 2]


async def test_it_answers_for_what_is_not_written_yet(pool: asyncpg.Pool) -> None:
    """An entry counts from the moment it is taken, for its route only, and still after it is written."""
    ledger, event_id = Ledger(pool), uuid4()
    assert not await ledger.settled(event_id, "r")
    await ledger.write(entry(event_id, 1))
    answers = [await ledger.settled(event_id, "r"), await ledger.settled(event_id, "other")]
    await ledger.flush()
    answers += [await ledger.settled(event_id, "r"), await ledger.settled(event_id, "other")]
    assert answers == [True, False, True, False]


async def test_what_is_parked_or_buried_is_not_settled(pool: asyncpg.Pool) -> None:
    """A parked or dead-lettered event still has its effect before it."""
    ledger, parked, buried = Ledger(pool), uuid4(), uuid4()
    await ledger.write(entry(parked, 1, Outcome.PARKED))
    await ledger.write(entry(buried, 2, Outcome.DEAD_LETTERED))
    for _ in range(2):
        assert not await ledger.settled(parked, "r")
        assert not await ledger.settled(buried, "r")
        assert await ledger.outcomes(buried, "r") == {Outcome.DEAD_LETTERED}
        await ledger.flush()


async def test_many_questions_make_few_queries(pool: asyncpg.Pool) -> None:
    """Questions that are asked together are answered together, each with its own answer."""
    ledger, known = Ledger(pool), [uuid4() for _ in range(100)]
    for offset, event_id in enumerate(known):
        await ledger.write(entry(event_id, offset))
    await ledger.flush()
    asked = [*known, *(uuid4() for _ in range(100))]
    answers = await asyncio.gather(*(ledger.settled(event_id, "r") for event_id in asked))
    assert list(answers) == [True] * 100 + [False] * 100


async def test_a_failed_flush_loses_nothing(pool: asyncpg.Pool) -> None:
    """Entries that could not be written are kept, in order, and written by the next flush."""
    ledger, first, second = Ledger(pool), uuid4(), uuid4()
    await pool.execute("ALTER TABLE bridge.ledger RENAME TO away")
    await ledger.write(entry(first, 1))
    with pytest.raises(DownstreamUnavailableError):
        await ledger.flush()
    await ledger.write(entry(second, 2))
    with pytest.raises(DownstreamUnavailableError):
        await ledger.settled(uuid4(), "r")
    await pool.execute("ALTER TABLE bridge.away RENAME TO ledger")
    await ledger.flush()
    rows = await pool.fetch("SELECT event_id FROM bridge.ledger ORDER BY id")
    assert [row["event_id"] for row in rows] == [first, second]


async def test_at_its_limit_it_writes_before_it_takes_more(pool: asyncpg.Pool) -> None:
    """Memory is bounded: the entry above the limit waits for those before it."""
    ledger = Ledger(pool, limit=10)
    for offset in range(25):
        await ledger.write(entry(uuid4(), offset))
    assert await pool.fetchval("SELECT count(*) FROM bridge.ledger") == 20


async def test_tables_that_are_not_there(postgres_dsn: str) -> None:
    """A database that was not migrated is named as such at the start."""
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=1) as bare:
        with pytest.raises(MisuseError, match="tidegate migrate"):
            await Ledger(bare).check()
