"""PostgreSQL and Kafka for both relays: one server each, for the whole run."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import asyncpg
import psutil

from infra import topics
from infra.local import Component, Stack, StackOptions, running_stack
from infra.local.kafka import LocalKafka
from infra.local.postgres import INSTALLED
from infra.queries import Queries, load
from infra.settings import KafkaSettings
from outbox.options import RelayOptions
from outbox.shards import shard_of
from tests.benchmarks.postgres import COMMIT_TIMES, postgres_with
from tests.outbox_support import with_outbox
from tests.waiting import until

SQL: Final[Queries] = load(__file__, "rows.sql")
PGBENCH: Final = INSTALLED / "bin" / "pgbench"
_SETTINGS: Final = {
    **COMMIT_TIMES,
    "wal_level": "logical",  # Debezium reads it; our relay is measured with it all the same
    "max_wal_size": "8GB",  # no checkpoint in the middle of one measurement and not of the other
    "checkpoint_timeout": "1h",
}


@dataclass(frozen=True, slots=True)
class Ground:
    """Servers that run, and a connection to the database of both outboxes."""

    stack: Stack
    dsn: str
    brokers: str
    connection: asyncpg.Connection[Any]

    @property
    def home(self) -> Path:
        """Where files of this run may be put."""
        return self.stack.home

    def pid(self, component: Component) -> int:
        """The process of a server."""
        return self.stack.servers[component].pids[0]


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Servers with both outboxes; all gone at the end."""
    with tempfile.TemporaryDirectory(prefix="tidegate-bench-") as home:
        Path(home).chmod(0o755)  # noqa: ASYNC240 - PostgreSQL runs as somebody else when we are root
        async with running_stack(
            Path(home),
            {Component.POSTGRES, Component.KAFKA},
            StackOptions(),
            factories={Component.POSTGRES: postgres_with(_SETTINGS), Component.KAFKA: LocalKafka},
        ) as stack:
            dsn, brokers = stack.addresses.postgres_dsn, stack.addresses.bootstrap_servers
            assert dsn is not None
            assert brokers is not None
            cursors = [topic for topic in topics.load() if topic.name == RelayOptions().cursor_topic]
            await topics.apply_topics(KafkaSettings(bootstrap_servers=brokers), cursors)
            async with _with_tables(dsn) as connection:
                yield Ground(stack, dsn, brokers, connection)


@asynccontextmanager
async def beside(ground: Ground) -> AsyncIterator[Ground]:
    """The same servers with another database, `upstream`, whose outbox is empty."""
    dsn = ground.stack.addresses.upstream_dsn
    assert dsn is not None
    async with _with_tables(dsn) as connection:
        yield replace(ground, dsn=dsn, connection=connection)


@asynccontextmanager
async def _with_tables(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    await with_outbox(dsn)
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(SQL["tables"])
        key = await connection.fetchval("SELECT bench.key(417)")
        shard = await connection.fetchval("SELECT bench.shard($1)", key)
        assert shard == shard_of(key), "the rows made here are not in the shards of their keys"
        yield connection
    finally:
        await connection.close()


async def vacuumed(ground: Ground, *, patience: float) -> None:
    """Return once no autovacuum works, or after ``patience`` seconds: it cleans up after a bulk load, and takes a core
    from whatever is measured meanwhile."""

    async def idle() -> bool:
        return bool(await ground.connection.fetchval(SQL["vacuums"]) == 0)

    with suppress(AssertionError):
        await until(idle, seconds=patience, every=0.5)


def free_disk_gb(path: Path) -> float:
    """What a run may still write."""
    return float(psutil.disk_usage(str(path)).free) / 1e9
