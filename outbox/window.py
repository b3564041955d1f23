"""Read a window, page by page, in the order of ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import asyncpg

from infra.queries import load
from outbox.columns import ROW
from outbox.cursor import Cohort, Window
from outbox.shards import shards_of
from outbox.snapshot import Snapshot, ended_between

_SQL = load(__file__, "window.sql", row=ROW)
_ALL: Final = 2**62
_FEW: Final = 100
"""Stragglers that are read at once, whatever their size."""
_FIRST: Final = 1_000
"""Rows of a window's first page at most: while they are on their way, the server reads the next page."""

Row: TypeAlias = "asyncpg.Record"
"""A row of ``outbox.events`` as the window's queries return it (:data:`outbox.columns.ROW`)."""


@dataclass(frozen=True, slots=True)
class PageSize:
    """How much is read, sent and acknowledged together: rows at most, and bytes of values that one row may pass."""

    rows: int
    bytes: int


async def prepare(connection: asyncpg.Connection[Any]) -> None:
    """Tell PostgreSQL how to read: by index only.

    A plan that was made when the table was small would otherwise be kept after it has grown, and a
    statement of the relay lives as long as its connection.
    """
    await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off; SET jit = off")


async def look(connection: asyncpg.Connection[Any]) -> Window:
    """What could be published now."""
    row = await connection.fetchrow(_SQL["look"])
    if row is None:
        raise asyncpg.InterfaceError("the outbox's sequence answered nothing")
    return Window(Snapshot.parse(row[0]), row[1])


async def pages(
    connection: asyncpg.Connection[Any], cohort: Cohort, size: PageSize
) -> AsyncGenerator[Sequence[Row], None]:
    """The rows of the cohort's window that are not published yet, a page at a time, ascending by id.

    To be closed (``contextlib.aclosing``) by whoever leaves it early: a page that was asked for ahead still occupies
    the connection.
    """
    cursor = cohort.cursor
    if cursor.window is None:
        return
    shards = shards_of(cohort.groups)
    ended = [str(xid) for xid in ended_between(cursor.snapshot, cursor.window.end)]
    if ended and cursor.after < cursor.floor:
        async for rows in _stragglers(connection, (cursor.after, cursor.floor, ended, shards), size):
            yield rows
    after = max(cursor.after, cursor.floor)
    if after < cursor.window.ceiling:
        arguments = (cursor.window.ceiling, cursor.snapshot.text, cursor.window.end.text, shards)
        async with aclosing(_read_ahead(connection, after, arguments, size)) as reading:
            async for rows in reading:
                yield rows


async def _read_ahead(
    connection: asyncpg.Connection[Any], after: int, arguments: tuple[Any, ...], size: PageSize
) -> AsyncGenerator[Sequence[Row], None]:
    """Each page is asked for as soon as the one before it is here: the server reads while that one is published."""

    def ask(after: int, wanted: int) -> asyncio.Task[list[Row]]:
        return asyncio.create_task(connection.fetch(_SQL["page"], after, *arguments, wanted, size.bytes))

    wanted = min(size.rows, _FIRST)
    asked: asyncio.Task[list[Row]] | None = ask(after, wanted)
    try:
        while asked is not None:
            rows = await asked
            full = len(rows) >= wanted or _bytes(rows) >= size.bytes
            wanted = size.rows
            asked = ask(rows[-1]["id"], wanted) if full and rows[-1]["id"] < arguments[0] else None
            if rows:
                yield rows
    finally:
        if asked is not None:
            asked.cancel()
            await asyncio.gather(asked, return_exceptions=True)


async def _stragglers(
    connection: asyncpg.Connection[Any], arguments: tuple[int, int, list[str], list[int]], size: PageSize
) -> AsyncGenerator[Sequence[Row], None]:
    """Few as a rule, and then one statement; a bulk load that ran long is sorted once, behind a server-side
    cursor."""
    after, *rest = arguments
    rows: list[Row] = await connection.fetch(_SQL["stragglers"], after, *rest, _FEW)
    if rows:
        yield rows
    if len(rows) < _FEW:
        return
    async with connection.transaction(readonly=True):
        cursor = await connection.cursor(_SQL["stragglers"], rows[-1]["id"], *rest, _ALL)
        page: list[Row] = []
        while rows := await cursor.fetch(min(_FEW, size.rows - len(page))):
            page += rows
            if len(page) == size.rows or _bytes(page) >= size.bytes:
                yield page
                page = []
        if page:
            yield page


def _bytes(rows: Sequence[Row]) -> int:
    return sum(len(row["value"]) for row in rows)
