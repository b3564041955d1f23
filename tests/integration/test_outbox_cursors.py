"""Cursors are fenced, belong to one database, and let no day go before it is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import make_url

from outbox.cursor import Cohort, Cursor
from outbox.cursors import Cursors, prune
from outbox.errors import LeaseLostError, RelayRefusedError
from outbox.identity import adopt, identify, refuse_dangers
from outbox.lease import Leases
from outbox.retention import Kept, maintain
from outbox.shards import GROUPS
from outbox.status import outbox_status
from outbox.window import PageSize, Row, look, pages
from tests.outbox_support import (
    OUTBOX,
    Happened,
    RecordingPublisher,
    relay_through,
    running,
    sequence_of,
    with_outbox,
)
from tests.waiting import until

EVERY = frozenset(range(GROUPS))


@pytest_asyncio.fixture(loop_scope="session")
async def outbox_dsn(postgres_dsn: str) -> str:
    """A database with an outbox."""
    await with_outbox(postgres_dsn)
    return postgres_dsn


@pytest_asyncio.fixture(loop_scope="session")
async def connection(outbox_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    opened = await asyncpg.connect(outbox_dsn)
    yield opened
    await opened.close()


async def _append(connection: asyncpg.Connection, *versions: int) -> None:
    for version in versions:
        await OUTBOX.append(connection, Happened(about=f"k{version % 5}"), source="/test", version=version)


def _sequences(rows: list[Row]) -> list[int]:
    return sorted(sequence_of(row) for row in rows)


async def test_an_owner_that_was_replaced_stores_nothing(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """Once another relay has taken a group, the last owner's cursor is refused as a whole."""
    first, second = Leases(connection, "first", 60), Leases(connection, "second", 60)
    epochs = await first.renew()
    assert set(epochs) == set(EVERY)
    old = Cursors(connection, "first", await identify(connection))
    await old.load(EVERY)
    cohort = Cohort(EVERY, Cursor().opened(await look(connection)))
    await old.store(cohort, epochs)
    await connection.execute("UPDATE outbox.ownership SET lease_until = '-infinity' WHERE shard_group = 3")
    assert set(await second.renew()) == {3}
    with pytest.raises(LeaseLostError):
        await old.store(cohort, epochs)
    assert await connection.fetchval("SELECT max(revision) FROM outbox.cursors") == 1
    await old.store(Cohort(EVERY - {3}, cohort.cursor), epochs)


async def test_old_revisions_are_forgotten(connection: asyncpg.Connection) -> None:
    """The log of cursors keeps its last hundred or so; the newest, which counts, is one of them."""
    epochs = await Leases(connection, "first", 60).renew()
    cursors = Cursors(connection, "first", await identify(connection))
    await cursors.load({0})
    for after in range(150):
        cursor = Cursor().opened(await look(connection)).advanced(after)
        await cursors.store(Cohort(frozenset({0}), cursor), epochs)
    await prune(connection)
    assert await connection.fetchval("SELECT count(*) FROM outbox.cursors") == 101
    (loaded,) = await cursors.load({0})
    assert loaded.cursor.after == 149


async def test_a_takeover_waits_for_a_store_under_way(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """Between looking at the epoch and storing the cursor nobody can become the owner."""
    leases = Leases(connection, "first", 60)
    epochs = await leases.renew()
    cursors = Cursors(connection, "first", await identify(connection))
    await cursors.load(EVERY)
    rival = await asyncpg.connect(outbox_dsn)
    try:
        async with connection.transaction():
            await cursors.store(Cohort(EVERY, Cursor()), epochs)
            await rival.execute("SET lock_timeout = '200ms'")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await rival.execute("UPDATE outbox.ownership SET epoch = epoch + 1 WHERE shard_group = 0")
    finally:
        await rival.close()


async def test_a_dead_owner_is_replaced_at_once_and_a_live_one_is_not(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """A lease of a minute ends with the connection that took it."""
    owner = await asyncpg.connect(outbox_dsn)
    await Leases(owner, "first", 60).renew()
    rival = Leases(connection, "second", 60)
    assert await rival.renew() == {}
    await owner.close()

    async def taken() -> bool:
        return set(await rival.renew()) == set(EVERY)

    await until(taken)


async def test_a_window_is_read_again_from_where_it_was_left(connection: asyncpg.Connection) -> None:
    """A stored window and position give the same rest of the rows, stragglers included, whatever came later."""
    await Leases(connection, "one", 60).renew()
    cursors = Cursors(connection, "one", await identify(connection))
    await cursors.load(EVERY)
    await _append(connection, *range(20))
    window = await look(connection)
    cohort = Cohort(EVERY, Cursor().opened(window))
    everything = [row["id"] async for page in pages(connection, cohort, PageSize(6, 2**20)) for row in page]
    assert len(everything) == 20
    await _append(connection, *range(20, 30))
    cohort = replace(cohort, cursor=cohort.cursor.advanced(everything[7]))
    epochs = {row["shard_group"]: row["epoch"] for row in await connection.fetch("TABLE outbox.ownership")}
    await cursors.store(cohort, epochs)
    (loaded,) = await cursors.load(EVERY)
    assert loaded == cohort
    assert [
        row["id"] async for page in pages(connection, loaded, PageSize(6, 2**20)) for row in page
    ] == everything[8:]


async def test_many_stragglers_come_in_order_page_by_page(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """A bulk load that was under way when its window began, and many pages long, is read once and in order."""
    bulk = await asyncpg.connect(outbox_dsn)
    try:
        async with bulk.transaction():
            await _append(bulk, *range(350))
            floor = (await look(connection)).ceiling
            await connection.execute("UPDATE aggregates SET version = 0")  # the store: a number of its own
            await connection.execute("SELECT pg_current_xact_id()")
            begin = await look(connection)
        end = await look(connection)
    finally:
        await bulk.close()
    cursor = Cursor().opened(begin).closed(floor)
    cohort = Cohort(EVERY, cursor.opened(end))
    async with connection.transaction():
        rows = [row async for page in pages(connection, cohort, PageSize(70, 2**20)) for row in page]
    ids = [row["id"] for row in rows]
    assert ids == sorted(ids)
    assert _sequences(rows) == list(range(350))


async def test_a_page_ends_where_its_bytes_do(connection: asyncpg.Connection) -> None:
    """A page holds so many bytes and the row that passes them, so that few large rows fill it; none is left out."""
    sizes = [10, 10, 500, 10, 2000, 2000, 10]
    for version, size in enumerate(sizes):
        event = Happened(about="k", payload=b"x" * size)
        await OUTBOX.append(connection, event, source="/test", version=version)
    cohort = Cohort(EVERY, Cursor().opened(await look(connection)))
    read = [
        [len(row["value"]) for row in page] async for page in pages(connection, cohort, PageSize(100, 520))
    ]
    assert read == [[10, 10, 500], [10, 2000], [2000], [10]]


async def test_a_restored_copy_is_refused_and_can_be_adopted(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """In a copy the relay refuses with what to do; after `adopt` exactly what was not published goes out."""
    sent: list[Row] = []
    await _append(connection, 1, 2, 3)
    async with running(relay_through([outbox_dsn], lambda: RecordingPublisher(sent))):
        await until(lambda: _sequences(sent) == [1, 2, 3])
    await _append(connection, 4, 5)
    await connection.close()
    name = f"copy_{uuid4().hex[:8]}"
    url = make_url(outbox_dsn)
    copy_dsn = url.set(database=name).render_as_string(hide_password=False)
    server = await asyncpg.connect(url.set(database="postgres").render_as_string(hide_password=False))
    try:
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{url.database}"')
        try:
            with pytest.raises(RelayRefusedError, match="tidegate outbox adopt"):
                await relay_through([copy_dsn], lambda: RecordingPublisher(sent)).run(asyncio.Event())
            assert _sequences(sent) == [1, 2, 3], "a refused relay sends nothing"
            copy = await asyncpg.connect(copy_dsn)
            await adopt(copy)
            async with running(relay_through([copy_dsn], lambda: RecordingPublisher(sent))):
                await until(lambda: _sequences(sent) == [1, 2, 3, 4, 5])
                await _append(copy, 6)
                await until(lambda: _sequences(sent) == [1, 2, 3, 4, 5, 6])
            await copy.close()
        finally:
            await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await server.close()


async def test_another_system_identifier_is_refused(outbox_dsn: str, connection: asyncpg.Connection) -> None:
    """A dump restored into another cluster carries the old cluster's identifier along."""
    await connection.execute("UPDATE outbox.generation SET system_identifier = system_identifier + 1")
    with pytest.raises(RelayRefusedError, match="restored copy"):
        await relay_through([outbox_dsn], lambda: RecordingPublisher([])).run(asyncio.Event())


async def test_after_a_failover_publishing_goes_on(outbox_dsn: str, connection: asyncpg.Connection) -> None:
    """A new timeline of the same cluster: the cursor came along with the rows, so nothing is lost."""
    sent: list[Row] = []
    await _append(connection, 1)
    async with running(relay_through([outbox_dsn], lambda: RecordingPublisher(sent))):
        await until(lambda: _sequences(sent) == [1])
    await connection.execute("UPDATE outbox.cursors SET timeline = timeline + 1")
    await _append(connection, 2)
    async with running(relay_through([outbox_dsn], lambda: RecordingPublisher(sent))):
        await until(lambda: _sequences(sent) == [1, 2])


async def test_lazy_commits_are_refused(outbox_dsn: str, connection: asyncpg.Connection) -> None:
    """synchronous_commit=off on the database is found though the relay's own session does not have it."""
    name = make_url(outbox_dsn).database
    await refuse_dangers(connection)
    await connection.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    with pytest.raises(RelayRefusedError, match="synchronous_commit"):
        await refuse_dangers(connection)
    await connection.execute(f'ALTER DATABASE "{name}" RESET synchronous_commit')


async def test_a_database_without_an_outbox_is_refused(upstream_dsn: str) -> None:
    """The sentence says what to run."""
    with pytest.raises(RelayRefusedError, match="tidegate migrate"):
        await relay_through([upstream_dsn], lambda: RecordingPublisher([])).run(asyncio.Event())


async def test_an_old_day_goes_when_every_group_is_past_it(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """A day with unpublished rows stays, whatever its age; once published it is dropped, and coming days are made."""
    await connection.execute("SELECT outbox.make_day(current_date - 20)")
    await _append(connection, 1)
    await connection.execute("UPDATE outbox.events SET created_at = created_at - interval '20 days'")
    sent: list[Row] = []

    async def maintained() -> Kept:
        return await maintain(connection, days_ahead=5, retention_days=7, identity_days=60)

    first = await maintained()
    assert first.made == 2, "today and three days come with the migration"
    assert first.dropped == ()

    async def gone() -> bool:
        """The relay may have done it itself; a transaction elsewhere on the server may put it off for a moment."""
        await maintained()
        return bool(await connection.fetchval("SELECT count(*) = 0 FROM outbox.events"))

    async with running(relay_through([outbox_dsn], lambda: RecordingPublisher(sent))):
        await until(lambda: _sequences(sent) == [1])
        await until(gone)
    assert (await outbox_status(connection)).lag_rows == 0


async def test_a_day_that_is_being_written_is_not_dropped(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """A transaction that writes into an old day holds it back; nobody waits for longer than a moment."""
    await connection.execute("SELECT outbox.make_day(current_date - 20)")
    writer = await asyncpg.connect(outbox_dsn)
    try:
        transaction = writer.transaction()
        await transaction.start()
        await _append(writer, 1)
        await writer.execute("UPDATE outbox.events SET created_at = created_at - interval '20 days'")
        assert (await maintain(connection, days_ahead=0, retention_days=7, identity_days=60)).dropped == ()
        await transaction.rollback()
        assert (
            len((await maintain(connection, days_ahead=0, retention_days=7, identity_days=60)).dropped) == 1
        )
    finally:
        await writer.close()
