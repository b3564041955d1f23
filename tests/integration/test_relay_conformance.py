"""What every profile of the relay promises, whatever writers and other relays do: one suite for all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from outbox.lease import share_of
from outbox.options import Profile, RelayOptions
from outbox.probe import Point
from outbox.shards import GROUPS
from tests.outbox_support import (
    OUTBOX,
    PROFILES,
    QUICK,
    TopicReader,
    Writers,
    append_rows,
    happened_in,
    make_cursor_topic,
    make_topic,
    relay_to_kafka,
    running,
    shared,
    with_outbox,
)
from tests.relay_checker import pairs, wrongs
from tests.relay_probes import frozen, halted
from tests.waiting import until

PAGE = 40
SMALL = replace(QUICK, page_rows=PAGE, transaction_rows=PAGE, store_every=0.0)
"""Pages so small that a window has many."""


@pytest_asyncio.fixture(loop_scope="session")
async def outbox_dsn(postgres_dsn: str, bootstrap_servers: str) -> str:
    """A database with an outbox, and the topic for transactions."""
    await with_outbox(postgres_dsn)
    await make_cursor_topic(bootstrap_servers)
    return postgres_dsn


@pytest.mark.parametrize("relays", range(1, 11))
def test_shares_are_equal_and_cover_every_group(relays: int) -> None:
    """However many relays there are: each group has its owner, and nobody has two more than another."""
    shares = [share_of(place, relays) for place in range(relays)]
    assert sum(shares) == GROUPS
    assert max(shares) - min(shares) <= 1


@pytest.mark.parametrize("profile", PROFILES)
async def test_published_is_what_was_committed_while_relays_come_and_go(
    outbox_dsn: str, upstream_dsn: str, bootstrap_servers: str, unique: str, profile: Profile
) -> None:
    """Writers with early numbers, savepoints, rollbacks and delays of up to 2 s over 100 keys, transactions that stay
    open in this and another database, one relay, two, three, and two again, one of them dead: the groups are spread
    evenly each time, and published is what was committed, each key in order, each row once."""
    await make_topic(bootstrap_servers, unique)
    options = replace(SMALL, profile=profile)
    wrote = Writers(outbox_dsn, unique, keys=100, longest_delay=2.0)
    dying = asyncio.create_task(
        relay_to_kafka([outbox_dsn], bootstrap_servers, options=options).run(asyncio.Event())
    )
    async with AsyncExitStack() as around:
        reader = await around.enter_async_context(TopicReader(bootstrap_servers, unique))
        late = await around.enter_async_context(_open_transaction(outbox_dsn, unique))
        await around.enter_async_context(_open_transaction(upstream_dsn, None))
        writing = asyncio.create_task(wrote.run(24, 3, seed=11))
        await until(lambda: shared(outbox_dsn, 8))
        for spread in ([4, 4], [3, 3, 2]):
            relay = relay_to_kafka([outbox_dsn], bootstrap_servers, options=options)
            await around.enter_async_context(running(relay))
            await until(lambda spread=spread: shared(outbox_dsn, *spread))  # type: ignore[misc]
        dying.cancel()
        with suppress(asyncio.CancelledError):
            await dying
        await until(lambda: shared(outbox_dsn, 4, 4))
        await writing
        await until(lambda: reader.has(wrote.rows))
        await late.execute("COMMIT")
        committed = {**wrote.committed, "late": [1]}
        await until(lambda: reader.has(wrote.rows + 1))
        await reader.drain()
    repeats = 0 if profile is Profile.TRANSACTIONAL else PAGE
    assert wrongs(committed, pairs(reader.records), repeats=repeats) == []


@asynccontextmanager
async def _open_transaction(dsn: str, topic: str | None) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection with a transaction that has its number, and has appended to ``topic``, and stays open."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("BEGIN")
        await connection.fetchval("SELECT pg_current_xact_id()::text")
        if topic is not None:
            event = happened_in(topic)(about="late", payload=b"1")
            await OUTBOX.append(connection, event, source="/test", version=1)
        yield connection
    finally:
        await connection.close()


def _together(*parts: dict[str, list[int]]) -> dict[str, list[int]]:
    return {key: [version for part in parts for version in part.get(key, [])] for key in parts[0]}


async def _finish(dsn: str, brokers: str, options: RelayOptions, reader: TopicReader, rows: int) -> None:
    async with running(relay_to_kafka([dsn], brokers, options=options)):
        await until(lambda: reader.has(rows))
    await reader.drain()


async def test_profiles_take_turns_on_one_outbox(
    outbox_dsn: str, bootstrap_servers: str, unique: str
) -> None:
    """From one profile to the other and back, with a relay of either that died in the middle of a window: nothing is
    lost, order is kept, and nothing is repeated but what the `idempotent` one had in flight when it died."""
    await make_topic(bootstrap_servers, unique)
    transactional = replace(SMALL, profile=Profile.TRANSACTIONAL)
    async with TopicReader(bootstrap_servers, unique) as reader:
        first = await append_rows(outbox_dsn, unique, range(1, 201))
        async with halted([outbox_dsn], bootstrap_servers, transactional, Point.ACKNOWLEDGED, 2):
            pass  # two pages are committed; the database knows of one at most
        await _finish(outbox_dsn, bootstrap_servers, SMALL, reader, 200)
        assert wrongs(first, pairs(reader.records)) == [], "exact, for Kafka knew of the second page"

        second = await append_rows(outbox_dsn, unique, range(201, 401))
        async with halted([outbox_dsn], bootstrap_servers, SMALL, Point.ACKNOWLEDGED, 2):
            pass
        await _finish(outbox_dsn, bootstrap_servers, transactional, reader, 400)
        everything = _together(first, second)
        assert wrongs(everything, pairs(reader.records), repeats=PAGE) == []

        repeated = len(reader.records)
        third = await append_rows(outbox_dsn, unique, range(401, 601))
        await _finish(outbox_dsn, bootstrap_servers, transactional, reader, 600)
        assert wrongs(_together(first, second, third), pairs(reader.records), repeats=repeated - 400) == []


async def test_a_relay_that_lost_its_groups_commits_nothing_more(
    outbox_dsn: str, bootstrap_servers: str, unique: str
) -> None:
    """The epoch fences: what a relay sent before another took its groups over is never seen by committed readers."""
    await make_topic(bootstrap_servers, unique)
    options = replace(SMALL, profile=Profile.TRANSACTIONAL)
    committed = await append_rows(outbox_dsn, unique, range(1, 201))
    async with (
        TopicReader(bootstrap_servers, unique) as reader,
        frozen(outbox_dsn, bootstrap_servers, options, Point.SENT, 3) as stale,
    ):
        async with running(relay_to_kafka([outbox_dsn], bootstrap_servers, options=options)):
            await until(lambda: reader.has(200))
            stale.go.set()
            await until(lambda: _relays(outbox_dsn, 2), what="the stale relay has found out, and begun again")
        await reader.drain()
    assert wrongs(committed, pairs(reader.records)) == []


async def _relays(dsn: str, living: int) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        found: int = await connection.fetchval(
            "SELECT count(*) FROM outbox.relays WHERE lease_until > clock_timestamp()"
        )
    finally:
        await connection.close()
    return found == living


async def test_a_database_that_went_back_in_time_is_not_told_where_it_is(
    outbox_dsn: str, bootstrap_servers: str, unique: str
) -> None:
    """A failover that lost the end: Kafka's word on a window that the database never heard of does not count, though
    the ids of that window are given out again."""
    await make_topic(bootstrap_servers, unique)
    options = replace(SMALL, profile=Profile.TRANSACTIONAL)
    async with TopicReader(bootstrap_servers, unique) as reader:
        before = await append_rows(outbox_dsn, unique, range(200))
        await _finish(outbox_dsn, bootstrap_servers, options, reader, 200)
        connection = await asyncpg.connect(outbox_dsn)
        try:
            await connection.execute("TRUNCATE outbox.events, outbox.cursors RESTART IDENTITY")
            after = await append_rows(outbox_dsn, unique, range(200, 400))
            async with halted([outbox_dsn], bootstrap_servers, options, Point.SENT):
                await until(lambda: _named(connection), what="the new window has its name")
        finally:
            await connection.close()
        await _finish(outbox_dsn, bootstrap_servers, options, reader, 400)
    assert wrongs(_together(before, after), pairs(reader.records)) == []


async def _named(connection: asyncpg.Connection[Any]) -> bool:
    found: int = await connection.fetchval(
        "SELECT count(DISTINCT shard_group) FROM outbox.cursors WHERE window_name IS NOT NULL"
    )
    return found > 1


async def test_a_retry_of_parked_rows_is_published_once(
    outbox_dsn: str, bootstrap_servers: str, unique: str
) -> None:
    """A relay that died between the transaction of a retry and the note of it: the rows are not sent again."""
    missing = f"{unique}-missing"
    options = replace(SMALL, profile=Profile.TRANSACTIONAL)
    committed = await append_rows(outbox_dsn, missing, range(1, 11))
    connection = await asyncpg.connect(outbox_dsn)
    try:
        async with running(relay_to_kafka([outbox_dsn], bootstrap_servers, options=options)):
            await until(lambda: _parked_are(connection, 10))
        await make_topic(bootstrap_servers, missing)
        await connection.execute("UPDATE outbox.parked SET state = 'retry'")
        async with (
            TopicReader(bootstrap_servers, missing) as reader,
            halted([outbox_dsn], bootstrap_servers, options, Point.ACKNOWLEDGED),
        ):
            await until(lambda: reader.has(10))
            assert await _parked_are(connection, 10), "the relay stands before it has settled anything"
        async with (
            TopicReader(bootstrap_servers, missing) as reader,
            running(relay_to_kafka([outbox_dsn], bootstrap_servers, options=options)),
        ):
            await until(lambda: _parked_are(connection, 0))
            await reader.drain()
    finally:
        await connection.close()
    assert wrongs(committed, pairs(reader.records)) == []


@pytest.mark.parametrize("commits", [True, False])
async def test_a_refused_row_is_parked_before_its_transaction_counts(
    outbox_dsn: str, bootstrap_servers: str, unique: str, monkeypatch: pytest.MonkeyPatch, *, commits: bool
) -> None:
    """A relay that dies right after the commit, or right before, has parked what Kafka did not take; a retry that is
    asked for then is published once, though the cursor may not have passed the row."""
    await make_topic(bootstrap_servers, unique)
    options = replace(SMALL, profile=Profile.TRANSACTIONAL)
    connection = await asyncpg.connect(outbox_dsn)
    real, there = AIOKafkaProducer.commit_transaction, asyncio.Event()

    async def dies(self: AIOKafkaProducer) -> None:
        if commits:
            await real(self)
        there.set()
        await asyncio.Future()

    try:
        for version, payload in enumerate([b"x", b"y" * 2_000, b"x"]):
            event = happened_in(unique)(about="k", payload=payload)
            await OUTBOX.append(connection, event, source="/test", version=version)
        with monkeypatch.context() as patch:
            patch.setattr(AIOKafkaProducer, "commit_transaction", dies)
            picky = replace(options, max_record_bytes=1_000)
            relay = relay_to_kafka([outbox_dsn], bootstrap_servers, options=picky)
            dying = asyncio.create_task(relay.run(asyncio.Event()))
            await there.wait()
            dying.cancel()
            with suppress(asyncio.CancelledError):
                await dying
        assert await _parked_are(connection, 2)
        await connection.execute("UPDATE outbox.parked SET state = 'retry'")
        async with TopicReader(bootstrap_servers, unique) as reader:
            await _finish(outbox_dsn, bootstrap_servers, options, reader, 3)
    finally:
        await connection.close()
    assert pairs(reader.records) == [("k", 0), ("k", 1), ("k", 2)]


async def _parked_are(connection: asyncpg.Connection[Any], rows: int) -> bool:
    found: int = await connection.fetchval("SELECT count(*) FROM outbox.parked")
    return found == rows
