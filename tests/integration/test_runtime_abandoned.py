"""A Kafka client that is given up in the middle of a rebalance is gone, also for the rest of its group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition

from consumers.runtime.client import Listener, close_client, start_client
from consumers.runtime.options import RuntimeOptions
from infra.settings import KafkaSettings
from infra.topics import apply_topics
from tests.bridge_support import topic_of
from tests.waiting import until


@asynccontextmanager
async def polled(client: Any) -> AsyncIterator[None]:
    """Poll ``client`` while the block runs."""

    async def poll() -> None:
        while True:
            await client.getmany(timeout_ms=100)

    polling = asyncio.create_task(poll())
    try:
        yield
    finally:
        polling.cancel()
        await asyncio.gather(polling, return_exceptions=True)


async def test_a_client_that_is_given_up_holds_nobody_up(bootstrap_servers: str, unique: str) -> None:
    """One that hangs in a revocation is closed; the group goes on at once and not when its rebalance times out.

    aiokafka's ``close`` waits for its coordinator. Where that is cut off, heartbeats would go on through connections of
    their own, of a member that never joins again: the others waited for it for a whole ``rebalance_timeout``.
    """
    settings = KafkaSettings(bootstrap_servers=bootstrap_servers)
    topic = f"t-{unique}"
    await apply_topics(settings, [topic_of(topic, 2)])
    options = RuntimeOptions(group_id=topic, session_timeout=3.0, rebalance_timeout=600.0, stuck_after=700.0)
    hanging, released = asyncio.Event(), asyncio.Event()
    assigned: dict[str, list[TopicPartition]] = {"stuck": [], "other": []}

    async def hang(client: Any) -> None:
        hanging.set()
        await released.wait()

    async def let_go(client: Any) -> None:
        """Nothing is in hand."""

    def note(name: str) -> Any:
        def take_over(client: Any, places: Iterable[TopicPartition]) -> None:
            assigned[name] = list(places)

        return take_over

    stuck = await start_client(settings, options)
    other = await start_client(settings, options)
    try:
        stuck.subscribe(topics=[topic], listener=Listener(stuck, hang, note("stuck")))
        async with polled(stuck):
            await until(lambda: len(assigned["stuck"]) == 2, what="the first has both partitions")
            other.subscribe(topics=[topic], listener=Listener(other, let_go, note("other")))
            async with polled(other):
                await until(hanging.is_set, what="the first hangs in its revocation")
                await close_client(stuck)
                await until(lambda: len(assigned["other"]) == 2, what="the other has both partitions")
    finally:
        released.set()
        await close_client(other)
