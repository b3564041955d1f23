"""The snapshot cursor loses nothing and keeps the order of each key, whatever writers do.

The usual cursors do not.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from outbox.cursor import Cohort, Cursor
from outbox.snapshot import Snapshot
from outbox.window import PageSize, Row, look, pages, prepare
from tests.effort import tries
from tests.outbox_support import (
    OUTBOX,
    Happened,
    RecordingPublisher,
    Writers,
    in_order,
    relay_through,
    running,
    sequence_of,
    with_outbox,
)
from tests.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def outbox_dsn(postgres_dsn: str) -> str:
    """A database with an outbox."""
    await with_outbox(postgres_dsn)
    return postgres_dsn


Poll = Callable[[], Awaitable[list[tuple[str, int]]]]


@given(
    seed=st.integers(0, 2**32),
    writers=st.integers(2, 12),
    rollback=st.sampled_from([0.0, 0.1, 0.5]),
    delay=st.sampled_from([0.0, 0.01, 0.05]),
)
@settings(
    max_examples=tries(4, 40),
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # shrinking what depends on timing only takes time
)
async def test_published_is_what_was_committed_in_the_order_of_each_key(
    outbox_dsn: str, seed: int, writers: int, rollback: float, delay: float
) -> None:
    """Concurrent writers with early numbers, savepoints, rollbacks and delays: nothing lost, each key in
    order."""
    sent: list[Row] = []
    wrote = Writers(outbox_dsn, secrets.token_hex(4), rollback=rollback, longest_delay=delay)
    async with running(relay_through([outbox_dsn], lambda: RecordingPublisher(sent))):
        await wrote.run(writers, 25, seed)
        await until(lambda: len(_of(sent, wrote.topic)) >= wrote.rows, what="all committed rows published")
    published = _of(sent, wrote.topic)
    assert len(published) == len(set(published)) == wrote.rows, "each once, as nothing crashed"
    assert _by_key(published) == in_order(wrote.committed)


async def test_the_usual_cursors_lose_rows_or_break_order(
    outbox_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beside each other on the same writers: id > last loses rows, xid < xmin breaks order, the snapshot
    does neither."""
    wrote = Writers(outbox_dsn, "beside", longest_delay=0.03)
    finished = asyncio.Event()
    readers: dict[str, Callable[[asyncpg.Connection[Any]], Poll]] = {
        "id > last, by id": _by_id,
        "xid < xmin, by xid and id": _by_xmin,
        "snapshot difference, by id": _by_snapshot,
    }
    reading = {name: asyncio.create_task(_read(outbox_dsn, poll, finished)) for name, poll in readers.items()}
    await wrote.run(12, tries(30, 100), seed=7)
    finished.set()
    expected = in_order(wrote.committed)
    figures: dict[str, tuple[int, int]] = {}
    for name, task in reading.items():
        rows = await task
        found = _by_key(rows)
        lost = wrote.rows - len(set(rows))
        broken = sum(1 for versions in found.values() for one, two in pairwise(versions) if one > two)
        figures[name] = (lost, broken)
        if (lost, broken) == (0, 0):
            assert found == expected
    with capsys.disabled():
        print(f"\n{wrote.rows} committed rows, 12 writers, 20 keys")
        for name, (lost, broken) in figures.items():
            print(f"  {name:28} lost {lost:5}   order of a key broken {broken:5}")
    assert figures["snapshot difference, by id"] == (0, 0)
    assert figures["id > last, by id"][0] > 0
    assert figures["xid < xmin, by xid and id"][1] > 0


async def _read(
    dsn: str, reader: Callable[[asyncpg.Connection[Any]], Poll], finished: asyncio.Event
) -> list[tuple[str, int]]:
    connection = await asyncpg.connect(dsn)
    try:
        poll, rows = reader(connection), list[tuple[str, int]]()
        while not finished.is_set():
            rows += await poll()
            await asyncio.sleep(0)
        return rows + await poll() + await poll()
    finally:
        await connection.close()


def _by_id(connection: asyncpg.Connection[Any]) -> Poll:
    last = 0

    async def poll() -> list[tuple[str, int]]:
        nonlocal last
        rows = await connection.fetch(
            "SELECT id, key, sequence FROM outbox.events WHERE id > $1 ORDER BY id", last
        )
        last = rows[-1]["id"] if rows else last
        return [(row["key"], row["sequence"]) for row in rows]

    return poll


def _by_xmin(connection: asyncpg.Connection[Any]) -> Poll:
    last = ("0", 0)

    async def poll() -> list[tuple[str, int]]:
        nonlocal last
        rows = await connection.fetch(
            """SELECT id, xid::text AS xid, key, sequence FROM outbox.events
               WHERE (xid, id) > ($1::text::xid8, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())
               ORDER BY outbox.events.xid, id""",
            *last,
        )
        last = (rows[-1]["xid"], rows[-1]["id"]) if rows else last
        return [(row["key"], row["sequence"]) for row in rows]

    return poll


def _by_snapshot(connection: asyncpg.Connection[Any]) -> Poll:
    cohort = Cohort(frozenset(range(8)), Cursor())

    async def poll() -> list[tuple[str, int]]:
        nonlocal cohort
        cohort = Cohort(cohort.groups, cohort.cursor.opened(await look(connection)))
        rows = [row async for page in pages(connection, cohort, PageSize(100, 2**20)) for row in page]
        cohort = Cohort(cohort.groups, cohort.cursor.closed(0))
        return [(row["key"], sequence_of(row)) for row in rows]

    return poll


async def test_no_row_of_a_window_escapes_its_floor(outbox_dsn: str) -> None:
    """Above the floor lies every row of a window but its stragglers; above the tempting floor they do not.

    The tempting one is the highest id at the moment of the snapshot: running transactions stand above
    ``xmax``.
    """
    wrote = Writers(outbox_dsn, "floor", longest_delay=0.005)
    writing = asyncio.gather(wrote.run(16, 40, seed=3), *(_append_only(outbox_dsn, 300) for _ in range(3)))
    connection = await asyncpg.connect(outbox_dsn)
    floors: list[tuple[Snapshot, int]] = []
    tempting: list[tuple[Snapshot, int]] = []
    try:
        await prepare(connection)
        await connection.execute("CREATE TABLE stores (n int)")
        mark = 0
        while not writing.done():
            floor = mark
            window = await look(connection)
            floors.append((window.end, floor))
            tempting.append((window.end, window.ceiling))
            await connection.execute("INSERT INTO stores VALUES (1)")  # the store: a transaction of its own
            mark = window.ceiling
        await writing
        rows = await connection.fetch("SELECT xid::text::bigint AS xid, id FROM outbox.events")
    finally:
        await connection.close()
    assert max(floor for _, floor in floors) > 0, "floors that rise, or nothing was tested"
    assert _escaped(floors, rows) == []
    assert _escaped(tempting, rows) != []


async def _append_only(dsn: str, rows: int) -> None:
    """Transactions whose first write is the append: the number is drawn by the row itself, before its id."""
    connection = await asyncpg.connect(dsn)
    try:
        for version in range(rows):
            await OUTBOX.append(connection, Happened(about="only"), source="/test", version=version)
    finally:
        await connection.close()


def _escaped(floors: list[tuple[Snapshot, int]], rows: list[asyncpg.Record]) -> list[tuple[str, int, int]]:
    """The rows that a window beginning at a snapshot would not find above its floor."""
    return [
        (snapshot.text, floor, row["id"])
        for snapshot, floor in floors
        for row in rows
        if row["xid"] >= snapshot.xmax and row["id"] <= floor
    ]


def _of(rows: list[Row], topic: str) -> list[tuple[str, int]]:
    return [(row["key"], sequence_of(row)) for row in rows if row["topic"] == topic]


def _by_key(rows: list[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for key, version in rows:
        found.setdefault(key, []).append(version)
    return found
