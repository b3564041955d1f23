"""The relay and a real broker, in each profile: what was committed is what can be read, key by key in order."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from outbox import Append, parking
from outbox.errors import NotParkedError
from outbox.options import Profile
from outbox.partitioner import Partitioner
from outbox.relay import Relay
from outbox.status import outbox_status
from outbox.varint import varint
from tests.outbox_support import (
    OUTBOX,
    PROFILES,
    QUICK,
    TopicReader,
    Writers,
    happened_in,
    header,
    in_order,
    make_cursor_topic,
    make_topic,
    relay_to_kafka,
    running,
    with_outbox,
)
from tests.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def outbox_dsn(postgres_dsn: str) -> str:
    """A database with an outbox."""
    await with_outbox(postgres_dsn)
    return postgres_dsn


NewRelay: TypeAlias = Callable[[Sequence[str]], Relay]


@pytest_asyncio.fixture(params=PROFILES, loop_scope="session")
async def relay(request: pytest.FixtureRequest, bootstrap_servers: str) -> NewRelay:
    """Makes relays of databases to the broker, in one profile and then in the other."""
    options = replace(QUICK, profile=request.param)
    if request.param is Profile.TRANSACTIONAL:
        await make_cursor_topic(bootstrap_servers)
    return lambda dsns: relay_to_kafka(dsns, bootstrap_servers, options=options)


async def _append(dsn: str, topic: str, *events: tuple[str, bytes], first: int = 1) -> None:
    """Append events (key, payload) with versions from ``first``, one transaction each."""
    connection = await asyncpg.connect(dsn)
    try:
        for version, (key, payload) in enumerate(events, start=first):
            event = happened_in(topic)(about=key, payload=payload)
            await OUTBOX.append(connection, event, source="/test", version=version)
    finally:
        await connection.close()


async def _parked(dsn: str) -> list[tuple[str, int, str]]:
    connection = await asyncpg.connect(dsn)
    try:
        rows = await parking.parked_rows(connection)
        return [(row["key"], row["sequence"], row["state"]) for row in rows]
    finally:
        await connection.close()


async def test_what_was_committed_is_published_and_nothing_else(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str
) -> None:
    """Every committed row once, no rolled-back row, each key in its order, with concurrent writers."""
    await make_topic(bootstrap_servers, unique)
    wrote = Writers(outbox_dsn, unique)
    async with (
        running(relay([outbox_dsn])),
        TopicReader(bootstrap_servers, unique) as reader,
    ):
        await wrote.run(8, 30, seed=1)
        await until(lambda: reader.has(wrote.rows))
        await reader.drain()
    assert reader.versions == in_order(wrote.committed)
    assert len(reader.records) == wrote.rows, "nothing broke, so nothing came twice"


async def test_a_backlog_of_many_pages_is_published_in_order(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str
) -> None:
    """What waited while no relay ran comes out in order, page after page."""
    await make_topic(bootstrap_servers, unique)
    connection = await asyncpg.connect(outbox_dsn)
    event = happened_in(unique)
    appends = [Append(event=event(about=f"k{n % 7}"), source="/test", version=n) for n in range(10_000)]
    await OUTBOX.append_all(connection, appends)
    await connection.close()
    async with (
        running(relay([outbox_dsn])),
        TopicReader(bootstrap_servers, unique) as reader,
    ):
        await until(lambda: reader.has(10_000))
    assert reader.versions == {f"k{n}": list(range(n, 10_000, 7)) for n in range(7)}


async def test_several_databases_are_served_by_one_process(
    outbox_dsn: str, upstream_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str
) -> None:
    """Rows of both databases reach the topic."""
    await with_outbox(upstream_dsn)
    await make_topic(bootstrap_servers, unique)
    await _append(outbox_dsn, unique, ("services", b"1"))
    await _append(upstream_dsn, unique, ("upstream", b"1"))
    async with (
        running(relay([outbox_dsn, upstream_dsn])),
        TopicReader(bootstrap_servers, unique) as reader,
    ):
        await until(lambda: reader.has(2))
    assert reader.versions == {"services": [1], "upstream": [1]}


async def test_a_relay_that_stopped_goes_on_where_it_was(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str
) -> None:
    """A clean stop loses nothing and repeats nothing."""
    await make_topic(bootstrap_servers, unique)
    async with TopicReader(bootstrap_servers, unique) as reader:
        for round_number in range(3):
            await _append(outbox_dsn, unique, *[("k", b"x")] * 20, first=1 + 20 * round_number)
            async with running(relay([outbox_dsn])):
                await until(lambda wanted=20 * (round_number + 1): reader.has(wanted))  # type: ignore[misc]
        await reader.drain()
    assert [int(header(record, "ce_sequence")) for record in reader.records] == list(range(1, 61))


async def test_a_relay_that_is_cancelled_while_it_closes_leaves_no_producer_open(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has lost patience with a relay that stops does not make it leak what it was closing."""
    closing, go, closed = asyncio.Event(), asyncio.Event(), 0
    stop_producer = AIOKafkaProducer.stop

    async def slow(producer: AIOKafkaProducer) -> None:
        nonlocal closed
        closing.set()
        await go.wait()
        await stop_producer(producer)
        closed += 1

    await make_topic(bootstrap_servers, unique)
    stop = asyncio.Event()
    async with TopicReader(bootstrap_servers, unique) as reader:
        await _append(outbox_dsn, unique, ("k", b"x"))
        running_relay = asyncio.create_task(relay([outbox_dsn]).run(stop))
        await until(lambda: reader.has(1))
    monkeypatch.setattr(AIOKafkaProducer, "stop", slow)
    stop.set()
    await closing.wait()
    running_relay.cancel()
    await asyncio.sleep(0)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await running_relay
    assert closed > 0
    gc.collect()  # a producer that is not closed warns when it goes, and a warning fails the test


async def test_a_row_that_is_too_large_holds_only_its_key(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str
) -> None:
    """The refused row and what follows it with its key are parked; every other key goes on; skip lets them
    go."""
    await make_topic(bootstrap_servers, unique, partitions=1, config={"max.message.bytes": "20000"})
    events = [
        ("good", b"x"),
        ("bad", b"x"),
        ("bad", b"y" * 30_000),
        ("bad", b"x"),
        ("good", b"x"),
        ("other", b"x"),
    ]
    async with (
        running(relay([outbox_dsn])),
        TopicReader(bootstrap_servers, unique) as reader,
    ):
        await _append(outbox_dsn, unique, *events)
        await until(lambda: reader.has(4))
        await _append(outbox_dsn, unique, ("bad", b"x"), ("good", b"x"), first=7)
        await until(lambda: reader.has(5))
        await until(lambda: _has_parked(outbox_dsn, 3))
        assert reader.versions == {"good": [1, 5, 8], "bad": [2], "other": [6]}
        assert await _parked(outbox_dsn) == [("bad", 3, "held"), ("bad", 4, "held"), ("bad", 7, "held")]

        connection = await asyncpg.connect(outbox_dsn)
        try:
            rows = await parking.parked_rows(connection)
            with pytest.raises(NotParkedError, match="first of its key"):
                await parking.skip(connection, rows[1]["id"])
            assert await parking.skip(connection, rows[0]["id"]) == (unique, "bad")
        finally:
            await connection.close()
        await until(lambda: reader.has(7))
        await until(lambda: _has_parked(outbox_dsn, 0))
        await _append(outbox_dsn, unique, ("bad", b"x"), first=9)
        await until(lambda: reader.has(8))
        await reader.drain()
        assert reader.versions["bad"] == [2, 4, 7, 9]


async def test_a_record_that_the_broker_finds_invalid_holds_only_its_key(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """INVALID_RECORD, which aiokafka has no name for, parks the row instead of being tried for ever.

    Made to happen by a record without a key in a compacted topic.
    """
    topic = f"invalid-{unique}"
    await make_topic(bootstrap_servers, topic, partitions=1, config={"cleanup.policy": "compact"})
    real = Partitioner.locate

    def locate(self: Partitioner, key: str) -> tuple[bytes, int]:
        found, hashed = real(self, key)
        return (varint(-1) if key == "bad" else found), hashed  # the length of what is not there

    monkeypatch.setattr(Partitioner, "locate", locate)
    await _append(outbox_dsn, topic, ("good", b"1"), ("bad", b"2"), ("good", b"3"), ("bad", b"4"))
    async with (
        running(relay([outbox_dsn])),
        TopicReader(bootstrap_servers, topic) as reader,
    ):
        await until(lambda: reader.has(2))
        await until(lambda: _has_parked(outbox_dsn, 2))
        connection = await asyncpg.connect(outbox_dsn)
        try:
            reasons = [row["reason"] for row in await parking.parked_rows(connection)]
        finally:
            await connection.close()
    assert "InvalidRecordError" in reasons[0]
    assert [header(record, "ce_sequence")[-1] for record in reader.records] == ["1", "3"]


async def _has_parked(dsn: str, count: int) -> bool:
    return len(await _parked(dsn)) == count


async def test_a_topic_that_is_missing_holds_only_its_rows_until_it_is_made(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str
) -> None:
    """Rows of an unknown topic are parked with the reason; retry sends them in order once it exists."""
    missing = f"{unique}-missing"
    await make_topic(bootstrap_servers, unique)
    async with (
        running(relay([outbox_dsn])),
        TopicReader(bootstrap_servers, unique) as reader,
    ):
        await _append(outbox_dsn, missing, ("k", b"x"), ("k", b"x"), ("l", b"x"))
        await _append(outbox_dsn, unique, ("k", b"x"))
        await until(lambda: reader.has(1))
        await until(lambda: _has_parked(outbox_dsn, 3))
        await make_topic(bootstrap_servers, missing)
        connection = await asyncpg.connect(outbox_dsn)
        try:
            reasons = {row["reason"] for row in await parking.parked_rows(connection)}
            assert any("does not know the topic" in reason for reason in reasons)
            await until(lambda: _retried(connection, outbox_dsn))
        finally:
            await connection.close()
    async with TopicReader(bootstrap_servers, missing) as late:
        await until(lambda: late.has(3))
    assert late.versions == {"k": [1, 2], "l": [3]}


async def test_a_broker_that_is_slow_to_answer_has_refused_nothing(
    outbox_dsn: str, bootstrap_servers: str, unique: str
) -> None:
    """A topic that has not been heard of when the time of grace is over is asked for until the broker has answered."""
    new = f"{unique}-new"
    await make_topic(bootstrap_servers, unique)
    impatient = replace(QUICK, topic_grace=0.0)
    async with running(relay_to_kafka([outbox_dsn], bootstrap_servers, options=impatient)):
        await _append(outbox_dsn, unique, ("k", b"x"))
        async with TopicReader(bootstrap_servers, unique) as reader:
            await until(lambda: reader.has(1))
        await make_topic(bootstrap_servers, new)
        await _append(outbox_dsn, new, ("k", b"x"), ("l", b"x"))
        async with TopicReader(bootstrap_servers, new) as reader:
            await until(lambda: reader.has(2))
    assert await _parked(outbox_dsn) == []


async def _retried(connection: asyncpg.Connection, dsn: str) -> bool:
    """Ask until the producer has heard of the topic."""
    await parking.retry(connection)
    await asyncio.sleep(0)
    return not await _parked(dsn)


async def test_lag_says_what_waits_and_what_holds_it_back(
    outbox_dsn: str, relay: NewRelay, bootstrap_servers: str, unique: str
) -> None:
    """Rows that wait are counted, the oldest writing transaction is named, and all is zero when all is
    published."""
    await make_topic(bootstrap_servers, unique)
    await _append(outbox_dsn, unique, ("k", b"x"), ("l", b"x"))
    writer, observer = await asyncpg.connect(outbox_dsn), await asyncpg.connect(outbox_dsn)
    try:
        transaction = writer.transaction()
        await transaction.start()
        await OUTBOX.append(writer, happened_in(unique)(about="m"), source="/test", version=3)
        status = await outbox_status(observer)
        assert status.lag_rows == 2
        assert status.lag_seconds > 0
        assert status.blocker is not None
        assert status.blocker.pid == writer.get_server_pid()
        async with running(relay([outbox_dsn])):
            await until(lambda: _lag_is(observer, 0))
            await transaction.commit()
            async with TopicReader(bootstrap_servers, unique) as reader:
                await until(lambda: reader.has(3))
            await until(lambda: _lag_is(observer, 0))
        await until(lambda: _no_blocker(observer))  # ANALYZE of PostgreSQL's own may write for a moment
    finally:
        await writer.close()
        await observer.close()


async def _no_blocker(connection: asyncpg.Connection) -> bool:
    return (await outbox_status(connection)).blocker is None


async def _lag_is(connection: asyncpg.Connection, rows: int) -> bool:
    return (await outbox_status(connection)).lag_rows == rows
