"""``tidegate analytics`` as a process: ready, stopped, killed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

import consumers.analytics
from infra.local import Stack
from infra.migrations import migrate
from infra.settings import KafkaSettings
from infra.topics import apply_topics
from tests.analytics_support import history, line
from tests.forked import ForkedProcess, fork_tidegate
from tests.replay_support import Ground, prepared_ground
from tests.waiting import until


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stack: Stack, postgres_dsn: str, unique: str, tmp_path: Path) -> AsyncIterator[Ground]:
    await asyncio.to_thread(migrate, postgres_dsn, [consumers.analytics.MIGRATIONS])
    await apply_topics(KafkaSettings(bootstrap_servers=stack.addresses.bootstrap_servers))
    async with prepared_ground(stack, postgres_dsn, unique, tmp_path) as ground:
        yield ground


async def started(ground: Ground, unique: str) -> ForkedProcess:
    """The command, once it is ready."""
    process = await fork_tidegate(
        *("analytics", "--group-prefix", unique, "--session-timeout", "6"),
        environment={**os.environ, **ground.environment()},
    )
    said = b""
    async with asyncio.timeout(60):
        async for words in process.stderr:
            said += words
            if b"ready" in words:
                return process
    raise AssertionError(f"analytics ended before it was ready: {said.decode()}")


async def shipped(ground: Ground, request_ids: list[str]) -> int:
    dsn = ground.environment()["TIDEGATE_POSTGRES__DSN"]
    connection = await asyncpg.connect(dsn)
    try:
        query = "SELECT count(*) FROM analytics.order_facts WHERE request_id = ANY ($1) AND net = 12.34"
        return int(await connection.fetchval(query + " AND shipped_at IS NOT NULL", request_ids))
    finally:
        await connection.close()


async def publish(ground: Ground, request_id: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=ground.settings.kafka.bootstrap_servers) as producer:
        for one in history(request_id, (line(unit_price="12.34"),)):
            await producer.send_and_wait(
                "oms.orders",
                key=one.event.key.encode(),
                value=ground.codec.encode(one.event),
                headers=one.envelope.to_headers(),
            )


@pytest.mark.timeout(180)
async def test_it_stops_on_sigterm_and_another_goes_on_after_a_kill(ground: Ground, unique: str) -> None:
    """SIGTERM ends it with status 0; after kill -9 the next process has the partitions and nothing counts twice."""
    first = await started(ground, unique)
    await publish(ground, f"{unique}-1")
    await until(lambda: _is(shipped(ground, [f"{unique}-1"]), 1), what="the first order is in the tables")
    first.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(first.wait(), 60) == 0
    second = await started(ground, unique)
    await publish(ground, f"{unique}-2")
    await until(lambda: _is(shipped(ground, [f"{unique}-2"]), 1), what="the second order is in the tables")
    second.kill()
    await second.wait()
    await publish(ground, f"{unique}-3")
    third = await started(ground, unique)
    await until(lambda: _is(shipped(ground, [f"{unique}-3"]), 1), what="the third order is in the tables")
    third.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(third.wait(), 60) == 0
    assert await shipped(ground, [f"{unique}-{number}" for number in (1, 2, 3)]) == 3


async def _is(figure: object, wanted: int) -> bool:
    return await figure == wanted  # type: ignore[misc,no-any-return]
