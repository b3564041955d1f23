"""The checker can speak: with a guard of the relay taken away, the same faults show what it is there for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from outbox import cursors, fencing, rounds, window
from outbox.batches import KafkaPage
from outbox.cursor import Cohort
from outbox.idempotent import IdempotentPublisher
from outbox.options import Profile
from outbox.probe import Point
from outbox.publisher import Advance, Refusal
from outbox.shards import shards_of
from outbox.snapshot import NOTHING
from outbox.window import PageSize, Row
from tests.outbox_support import (
    QUICK,
    RecordingPublisher,
    TopicReader,
    Writers,
    append_rows,
    make_cursor_topic,
    make_topic,
    relay_through,
    relay_to_kafka,
    running,
    sequence_of,
    shared,
    with_outbox,
)
from tests.relay_checker import pairs, wrongs
from tests.relay_probes import Halt, frozen
from tests.waiting import until

PAGE, ROWS = 40, 200
SMALL = replace(QUICK, page_rows=PAGE, transaction_rows=PAGE, store_every=0.0, pause_longest=0.2)


@pytest_asyncio.fixture(loop_scope="session")
async def outbox_dsn(postgres_dsn: str, bootstrap_servers: str) -> str:
    """A database with an outbox, and the topic for transactions."""
    await with_outbox(postgres_dsn)
    await make_cursor_topic(bootstrap_servers)
    return postgres_dsn


async def test_a_cursor_by_id_loses_rows(outbox_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read by `id > last`, rows that commit after later ids are never published."""
    last = 0

    async def by_id(
        connection: asyncpg.Connection[Any], cohort: Cohort, size: PageSize
    ) -> AsyncIterator[Sequence[Row]]:
        nonlocal last
        assert cohort.cursor.window is not None
        end, ceiling, shards = (
            cohort.cursor.window.end,
            cohort.cursor.window.ceiling,
            shards_of(cohort.groups),
        )
        rows = await connection.fetch(
            window._SQL["page"], last, ceiling, NOTHING.text, end.text, shards, size.rows, size.bytes
        )
        if rows:
            last = rows[-1]["id"]
            yield rows

    monkeypatch.setattr(rounds, "pages", by_id)
    sent: list[Row] = []
    wrote = Writers(outbox_dsn, "by-id", longest_delay=0.03)
    async with running(relay_through([outbox_dsn], lambda: RecordingPublisher(sent))):
        await wrote.run(8, 20, seed=3)
        await append_rows(outbox_dsn, "last", range(1))
        await until(lambda: any(row["topic"] == "last" for row in sent))
    published = [(row["key"], sequence_of(row)) for row in sent if row["topic"] == "by-id"]
    assert any(wrong.startswith("lost") for wrong in wrongs(wrote.committed, published))


class _Hasty(IdempotentPublisher):
    """Says that a page is published when it has only begun to send it."""

    async def send(self, page: KafkaPage, advance: Advance) -> Sequence[Refusal]:
        await advance.secure(())
        return ()


async def test_a_cursor_stored_before_the_acknowledgement_loses_rows(
    outbox_dsn: str, bootstrap_servers: str, unique: str
) -> None:
    """The relay dies when the cursor is stored and the records are still on their way."""
    await make_topic(bootstrap_servers, unique)
    committed = await append_rows(outbox_dsn, unique, range(ROWS))
    probe, brokers = Halt(Point.CURSOR_STORED), {"bootstrap_servers": bootstrap_servers}
    relay = relay_through([outbox_dsn], lambda: _Hasty(brokers, SMALL), options=SMALL, probe=probe)
    dying = asyncio.create_task(relay.run(asyncio.Event()))
    await probe.there.wait()
    dying.cancel()
    with suppress(asyncio.CancelledError):
        await dying
    async with TopicReader(bootstrap_servers, unique) as reader:
        async with running(relay_to_kafka([outbox_dsn], bootstrap_servers, options=SMALL)):
            await until(lambda: reader.has(ROWS - PAGE))
        await reader.drain()
    assert any(wrong.startswith("lost") for wrong in wrongs(committed, pairs(reader.records), repeats=PAGE))


@asynccontextmanager
async def _overtaken(
    dsn: str, brokers: str, topic: str, profile: Profile, point: Point
) -> AsyncIterator[TopicReader]:
    """A relay that stood at ``point`` of its third page while another took over and published all, and then went
    on."""
    options = replace(SMALL, profile=profile)
    async with TopicReader(brokers, topic) as reader, frozen(dsn, brokers, options, point, 3) as stale:
        async with running(relay_to_kafka([dsn], brokers, options=options)):
            await until(lambda: reader.has(ROWS))
        stale.go.set()
        yield reader


async def test_without_the_fence_a_frozen_relay_commits_its_transaction(
    outbox_dsn: str, bootstrap_servers: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a transactional id of its own for each relay, readers of committed records see rows twice."""
    await make_topic(bootstrap_servers, unique)
    committed = await append_rows(outbox_dsn, unique, range(ROWS))
    monkeypatch.setattr(fencing, "transactional_id", lambda *_: f"unfenced-{uuid4()}")
    arguments = (outbox_dsn, bootstrap_servers, unique, Profile.TRANSACTIONAL, Point.WINDOW_READ)
    async with _overtaken(*arguments) as reader:
        await until(lambda: _more_than(reader, ROWS))
        await reader.drain()
    assert any(wrong.startswith("repeated") for wrong in wrongs(committed, pairs(reader.records)))


async def _more_than(reader: TopicReader, records: int) -> bool:
    await reader.has(0)
    return len(reader.records) > records


async def test_without_the_epoch_a_frozen_relay_puts_the_cursor_back(
    outbox_dsn: str, bootstrap_servers: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cursor stored by whoever owned the group once: the next relay publishes much again that was published."""
    await make_topic(bootstrap_servers, unique)
    committed = await append_rows(outbox_dsn, unique, range(ROWS))
    unguarded = cursors._SQL["store"]
    for guard, nothing in (
        ("WHERE o.owner = $1 AND", "WHERE $1::text IS NOT NULL AND"),
        ("USING (shard_group, epoch)", "USING (shard_group)"),
        (
            "SELECT * FROM wanted JOIN",
            "SELECT shard_group, wanted.epoch, revision + 1000 AS revision FROM wanted JOIN",
        ),
    ):
        assert guard in unguarded
        unguarded = unguarded.replace(guard, nothing)
    arguments = (outbox_dsn, bootstrap_servers, unique, Profile.IDEMPOTENT, Point.ACKNOWLEDGED)
    async with _overtaken(*arguments):
        monkeypatch.setitem(cursors._SQL._by_name, "store", unguarded)
        connection = await asyncpg.connect(outbox_dsn)
        try:
            await until(lambda: _stored(connection))
        finally:
            await connection.close()
        monkeypatch.undo()
    async with (
        TopicReader(bootstrap_servers, unique) as again,
        running(relay_to_kafka([outbox_dsn], bootstrap_servers, options=SMALL)),
    ):
        await until(lambda: shared(outbox_dsn, 8))
        await until(lambda: _more_than(again, ROWS + PAGE))
    found = wrongs(committed, pairs(again.records), repeats=PAGE)
    assert any(wrong.startswith("repeated") for wrong in found)


async def _stored(connection: asyncpg.Connection[Any]) -> bool:
    newest: int = await connection.fetchval("SELECT max(revision) FROM outbox.cursors")
    return newest > 1000
