"""A database that was promoted, prepared transactions, and one that was dumped and restored: on a server of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import make_url
from structlog.testing import capture_logs

from infra.local.postgres import LocalPostgres
from outbox.errors import RelayRefusedError
from outbox.identity import adopt
from outbox.relay import Relay
from outbox.status import outbox_status
from outbox.window import Row
from tests.outbox_support import (
    OUTBOX,
    Happened,
    RecordingPublisher,
    relay_through,
    running,
    sequence_of,
    with_outbox,
)
from tests.stack import TEST_OPTIONS
from tests.waiting import until


@asynccontextmanager
async def _server(home: Path) -> AsyncIterator[LocalPostgres]:
    server = LocalPostgres(home, TEST_OPTIONS)
    await server.prepare(print)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()
        await server.dispose()


async def _append(dsn: str, version: int, *, prepare: str | None = None) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("BEGIN")
        await OUTBOX.append(connection, Happened(about="k"), source="/test", version=version)
        await connection.execute(f"PREPARE TRANSACTION '{prepare}'" if prepare else "COMMIT")
    finally:
        await connection.close()


def _sequences(rows: list[Row]) -> list[int]:
    return [sequence_of(row) for row in rows]


async def test_a_promotion_a_prepared_transaction_and_a_restored_dump(tmp_path: Path) -> None:
    """A relay waits for a standby to be promoted and goes on from its cursor on the new timeline; a prepared
    transaction holds back its own rows and is named; a dump restored beside the original is refused until adopted."""
    sent: list[Row] = []
    async with _server(tmp_path) as server:
        dsn = server.dsn("tidegate")
        await with_outbox(dsn)
        await _execute(dsn, "ALTER SYSTEM SET max_prepared_transactions = 2")
        await _append(dsn, 1)
        relay = relay_through([dsn], lambda: RecordingPublisher(sent))
        with capture_logs() as logs:
            async with running(relay):
                await until(lambda: _stored(dsn), what="its cursor is past the row")
                await _become_a_standby(server, relay)
                await _execute(dsn, "SELECT pg_promote()")
                await _append(dsn, 2)
                await until(lambda: _sequences(sent) == [1, 2], what="it publishes after the promotion")
                await _hold_back(dsn, sent)
        changes = [(log["was"], log["now"]) for log in logs if log["event"] == "timeline changed"]
        assert changes
        assert set(changes) == {(1, 2)}
        await _append(dsn, 5)
        await _restore_beside(server, dsn, sent)


async def _stored(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return (await outbox_status(connection)).lag_rows == 0
    finally:
        await connection.close()


async def _become_a_standby(server: LocalPostgres, relay: Relay) -> None:
    await server.stop()
    (server.data / "standby.signal").touch()
    await server.start()
    await until(lambda: any("standby" in problem for problem in relay.unread()))


async def _hold_back(dsn: str, sent: list[Row]) -> None:
    await _append(dsn, 3, prepare="two phases")
    await _append(dsn, 4)
    await until(lambda: _sequences(sent) == [1, 2, 4], what="a prepared transaction holds nobody else back")
    connection = await asyncpg.connect(dsn)
    try:
        blocker = (await outbox_status(connection)).blocker
        assert blocker is not None
        assert (blocker.pid, blocker.state) == (None, "prepared")
        assert blocker.query == "PREPARE TRANSACTION 'two phases'"
        await connection.execute("COMMIT PREPARED 'two phases'")
    finally:
        await connection.close()
    await until(lambda: _sequences(sent) == [1, 2, 4, 3])


async def _restore_beside(server: LocalPostgres, dsn: str, sent: list[Row]) -> None:
    """By pg_dump and pg_restore into another database of the same cluster."""
    dump = server.home / "outbox.dump"
    await _execute(dsn, "CREATE DATABASE restored")
    restored = make_url(dsn).set(database="restored").render_as_string(hide_password=False)
    programs = server.programs
    await _program(programs / "pg_dump", "--format=custom", f"--file={dump}", dsn)
    await _program(programs / "pg_restore", f"--dbname={restored}", str(dump))
    again: list[Row] = []
    with pytest.raises(RelayRefusedError, match=r"restored copy.*tidegate outbox adopt"):
        await relay_through([restored], lambda: RecordingPublisher(again)).run(asyncio.Event())
    assert again == [], "a refused relay sends nothing"
    connection = await asyncpg.connect(restored)
    await adopt(connection)
    await connection.close()
    async with running(relay_through([restored], lambda: RecordingPublisher(again))):
        await until(lambda: _sequences(again) == [5], what="what was not published before the dump")
        await _append(restored, 6)
        await until(lambda: _sequences(again) == [5, 6])


async def _program(*words: Path | str) -> None:
    process = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()


async def _execute(dsn: str, statement: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
