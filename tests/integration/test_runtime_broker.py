"""The runtime on a real broker: when it commits, what one stuck key holds back, and a client that hangs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator

from consumers.errors import KeyWaitsError
from consumers.runtime import lookout
from consumers.runtime.health import HealthLimits
from consumers.runtime.record import ConsumedRecord
from tests.runtime_support import runtime_world
from tests.waiting import until

NEVER = 3600.0


async def test_one_stuck_key_holds_its_partition_back_and_nothing_else(
    bootstrap_servers: str, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partition stops at the span, and says how far it is behind also while it is not read; the other one goes on
    and is committed by count; what was done is committed on stop."""
    handled: list[tuple[int, int]] = []
    monkeypatch.setattr(lookout, "_PAUSED_EVERY", 0.0)

    async def handle(record: ConsumedRecord) -> None:
        if record.key == b"stuck":
            raise KeyWaitsError("never", retry_after=NEVER)
        handled.append((record.partition, record.offset))

    async with runtime_world(bootstrap_servers, unique, partitions=2) as world:
        await world.send([(b"a", b"v")] * 3 + [(b"stuck", b"v")] + [(b"%d" % n, b"v") for n in range(300)], 0)
        await world.send([(b"b", b"v")] * 200, 1)
        limits = HealthLimits(lag_records=250)
        bounds = {"span": 60, "poll_records": 20, "commit_interval": NEVER, "commit_records": 50}
        async with world.consuming(handle, limits, **bounds) as consuming:
            of_first = {"topic": world.topic, "partition": "0"}
            await until(lambda: consuming.figure("partition_lag_records", **of_first) == 301)
            await until(lambda: len([place for place, _ in handled if place == 1]) == 200)
            assert consuming.health.alive() == ()
            assert f"{world.topic}[0] is 301 records behind (limit 250)" in consuming.health.ready()
            assert consuming.figure("partition_paused", **of_first) == 1
            await world.send([(b"late", b"v")] * 20, 0)
            await until(lambda: consuming.figure("partition_lag_records", **of_first) == 321)
            assert 60 <= (consuming.figure("partition_span_records", **of_first) or 0) < 80
            assert consuming.figure("partition_in_hand_records", **of_first) == 1
            assert await world.committed(1) is not None
            assert await consuming.drained()
        assert (await world.committed(0), await world.committed(1)) == (3, 200)


class Hang:
    """Makes one coroutine of one aiokafka object, the first that calls it once this is armed, wait for ever."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: type, method: str) -> None:
        self._whole = getattr(owner, method)
        self._victim: object = None
        self.armed = False
        self.hangs = asyncio.Event()

        async def hanging(victim: Any, *words: Any) -> Any:
            if self.armed and self._victim in (None, victim):
                self._victim = victim
                self.hangs.set()
                await asyncio.Event().wait()
            return await self._whole(victim, *words)

        patch.setattr(owner, method, hanging)


@pytest.mark.parametrize(
    ("missing", "owner", "method"),
    [("assignment", GroupCoordinator, "_do_rejoin_group"), ("fetch", Fetcher, "_proc_fetch_request")],
    ids=["rejoin", "fetch"],
)
async def test_a_client_that_hangs_is_replaced(
    bootstrap_servers: str,
    unique: str,
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    owner: type,
    method: str,
) -> None:
    """aiokafka #1154, #703: a rejoin or a fetch begins and nothing comes of it, with no error and for ever. Another
    client takes over after `stuck_after`; what was handled is committed before, and nothing is handled twice."""
    handled: list[bytes | None] = []
    hang = Hang(monkeypatch, owner, method)

    async def handle(record: ConsumedRecord) -> None:
        handled.append(record.value)

    async with runtime_world(bootstrap_servers, unique) as world:
        await world.send([(b"k", b"before")])
        async with world.consuming(handle, commit_interval=NEVER, stuck_after=1.5) as consuming:
            await until(lambda: handled == [b"before"])
            hang.armed = True
            if missing == "assignment":
                consuming.runtime._client._coordinator.request_rejoin()
            await until(hang.hangs.is_set)
            await world.send([(b"k", b"after")])
            await until(lambda: handled == [b"before", b"after"])
            assert consuming.figure("clients_replaced_total", missing=missing) == 1
            assert not consuming.health.ready()
            assert await consuming.drained()
        assert await world.committed() == 2
