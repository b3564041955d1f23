"""A consumer that is told to stop says whether it had finished by its deadline."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from prometheus_client import CollectorRegistry

from consumers.analytics.application import AnalyticsApplication, AnalyticsMetrics, AnalyticsOptions
from consumers.runtime.handling import Handler
from consumers.runtime.record import ConsumedRecord
from infra.settings import KafkaSettings
from tests.runtime_support import runtime_world
from tests.waiting import until


async def test_work_that_outlives_the_deadline_is_said_and_done_again(
    bootstrap_servers: str, unique: str
) -> None:
    """A handler that hangs: not drained, nothing committed; the next process handles the record, and drains."""
    began: list[int] = []

    async def hang(record: ConsumedRecord) -> None:
        began.append(record.offset)
        await asyncio.Event().wait()

    async def finish(record: ConsumedRecord) -> None:
        began.append(record.offset)

    async def drained(handler: Handler) -> bool:
        began.clear()
        async with world.consuming(handler, drain_timeout=0.2, stop_timeout=2.0) as consuming:
            await until(lambda: began == [0] or consuming.running.done())
            return await consuming.drained()

    async with runtime_world(bootstrap_servers, unique) as world:
        await world.send([(b"k", b"v")])
        assert await drained(hang) is False
        assert await world.committed() is None
        assert await drained(finish) is True
        assert await world.committed() == 1
    assert began == [0]


async def test_analytics_that_cannot_stop_say_so() -> None:
    """faust may wait for a broker that is away: at the deadline it is left, and the answer is no."""

    async def stop_for_ever() -> None:
        await asyncio.Event().wait()

    async def stop_at_once() -> None:
        return None

    application: Any = AnalyticsApplication(
        KafkaSettings(),
        reader=None,  # type: ignore[arg-type]  # nothing is read
        sink=None,  # type: ignore[arg-type]
        metrics=AnalyticsMetrics(CollectorRegistry()),
        options=AnalyticsOptions(stop_timeout=0.05),
    )
    assert await application._stopped(SimpleNamespace(stop=stop_for_ever), None) is False
    assert await application._stopped(SimpleNamespace(stop=stop_at_once), None) is True
