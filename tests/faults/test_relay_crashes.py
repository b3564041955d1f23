"""The real command killed again and again, and one that froze with locks in its hands: no row is lost.

At every named point of a page: `test_relay_points.py`; servers and lines: `test_relay_outages.py`.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import pytest_asyncio

from outbox.lease import Leases
from outbox.options import Source
from outbox.session import connected
from outbox.status import outbox_status
from tests.forked import ForkedProcess, fork_tidegate
from tests.outbox_support import (
    OUTBOX,
    QUICK,
    TopicReader,
    Writers,
    happened_in,
    in_order,
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


@asynccontextmanager
async def relay_process(dsn: str, bootstrap_servers: str, home: Path) -> AsyncIterator[ForkedProcess]:
    """The real command; killed at the end if it still runs."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")},
        "TIDEGATE_HOME": str(home),
        "TIDEGATE_POSTGRES__DSN": dsn,
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
    }
    process = await fork_tidegate("relay", "--database", "services", "--lease", "2", environment=environment)
    try:
        await _line_with(process, "ready")
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def _line_with(process: ForkedProcess, word: str) -> None:
    seen = b""
    async with asyncio.timeout(60):
        while word.encode() not in seen:
            line = await process.stderr.readline()
            assert line, f"the relay ended: {seen.decode()}"
            seen += line


async def test_kill_nine_again_and_again_loses_nothing(
    outbox_dsn: str, bootstrap_servers: str, unique: str, tmp_path: Path
) -> None:
    """A relay killed in the middle of its work, five times: every committed row published, each key in order."""
    await make_topic(bootstrap_servers, unique)
    wrote = Writers(outbox_dsn, unique)
    writing = asyncio.create_task(wrote.run(6, 150, seed=5))
    dice = random.Random(5)
    async with TopicReader(bootstrap_servers, unique) as reader:
        for _ in range(5):
            async with relay_process(outbox_dsn, bootstrap_servers, tmp_path) as process:
                seen = len(reader.records)
                await until(lambda seen=seen: _grows(reader, seen + dice.randint(1, 50), writing))  # type: ignore[misc]
                process.kill()
        await writing
        async with relay_process(outbox_dsn, bootstrap_servers, tmp_path) as process:
            await wrote.run(2, 10, seed=6)  # of these it is known that no relay before has published them
            await until(lambda: reader.has(wrote.rows))
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        await reader.drain()
    assert reader.versions == in_order(wrote.committed)
    connection = await asyncpg.connect(outbox_dsn)
    try:
        assert (await outbox_status(connection)).lag_rows == 0, "a clean stop stores the cursor"
    finally:
        await connection.close()


async def _grows(reader: TopicReader, records: int, writing: asyncio.Task[None]) -> bool:
    await reader.has(0)
    return len(reader.records) >= records or writing.done()


async def _append(dsn: str, topic: str, versions: range) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for version in versions:
            await OUTBOX.append(connection, happened_in(topic)(about="k"), source="/test", version=version)
    finally:
        await connection.close()


async def test_a_relay_that_froze_inside_a_transaction_holds_nobody_up(
    outbox_dsn: str, bootstrap_servers: str, unique: str
) -> None:
    """The locks of a relay that stands still in the middle of a transaction go with the lease."""
    await make_topic(bootstrap_servers, unique)
    source = Source("frozen", outbox_dsn)
    async with (
        TopicReader(bootstrap_servers, unique) as reader,
        connected(source, QUICK.lease) as frozen,
    ):
        await Leases(frozen.keeper, "frozen", QUICK.lease).renew()
        await frozen.writer.execute("BEGIN; SELECT FROM outbox.ownership FOR SHARE")
        await _append(outbox_dsn, unique, range(1, 4))
        async with running(relay_to_kafka([outbox_dsn], bootstrap_servers)):
            await until(lambda: reader.has(3))
    assert reader.versions == {"k": [1, 2, 3]}
