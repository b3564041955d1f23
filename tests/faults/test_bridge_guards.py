"""The checker of the bridge's faults can speak: with one guard of the bridge broken, it says which promise fell.

Each test breaks one guard and lets one fault happen that the guard is there for; with the guards in place the same
checker finds nothing after all faults (``test_bridge_faults.py``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest_asyncio

from consumers.bridge.bridge import BridgeHandler
from consumers.runtime.record import ConsumedRecord
from tests.bridge_support import World, bridge_world
from tests.faults.bridge_checker import check
from tests.faults.bridge_ordeal import Member, Run, bridges
from tests.faults.bridge_plan import Role, make_plan
from tests.faults.bridge_recipient import Recipients
from tests.faults.bridge_wire import WireFaults, faulty_wire
from tests.waiting import until

SEED = 5


@pytest_asyncio.fixture(loop_scope="session")
async def world(
    postgres_dsn: str, bootstrap_servers: str, registry_url: str, temporal_address: str, unique: str
) -> AsyncIterator[World]:
    """A topic of two partitions."""
    async with bridge_world(
        postgres_dsn=postgres_dsn,
        bootstrap_servers=bootstrap_servers,
        registry_url=registry_url,
        temporal_address=temporal_address,
        unique=unique,
        partitions=2,
    ) as made:
        yield made


@asynccontextmanager
async def small_run(
    world: World, *, roles: Mapping[Role, float], repeated: float = 0.0, dedupe: bool = True
) -> AsyncIterator[Run]:
    """120 events over 10 keys in two chunks; their workflows are closed after the block."""
    plan = make_plan(SEED, prefix=world.topic, keys=10, events=120, chunks=2, roles=roles, repeated=repeated)
    run = Run(world, plan, Recipients(world.client, world.topic, dedupe=dedupe))
    async with run.recipients.lively():
        await run.begin_chunk(0)
        yield run
    await run.terminate()


class CommitFirst(BridgeHandler):
    """Says of each record that it is done, and begins with it when its offset is committed, one after the other."""

    def __init__(self, behind: BridgeHandler, committed: asyncio.Event) -> None:
        self._behind = behind
        self._committed = committed
        self._one_at_a_time = asyncio.Lock()
        self._under_way: list[asyncio.Task[None]] = []

    async def __call__(self, record: ConsumedRecord) -> None:
        """Take ``record``, and no care of it."""
        self._under_way.append(asyncio.create_task(self._later(record)))

    async def flush(self) -> None:
        """As the handler that this one stands before."""
        await self._behind.flush()

    async def die(self) -> None:
        """End as a process that is killed does: with nothing of what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _later(self, record: ConsumedRecord) -> None:
        await self._committed.wait()
        async with self._one_at_a_time:
            await self._behind(record)


async def test_an_offset_that_is_committed_before_its_signal_loses_events(world: World) -> None:
    """What was committed and not signalled when the process died comes never again, and is called lost."""
    async with small_run(world, roles={}) as run, bridges(world, 1) as [bridge]:
        with faulty_wire(WireFaults()) as wire:
            careless = CommitFirst(bridge.handler, wire.committed)
            member = Member(replace(bridge, handler=careless), world)
            member.join()
            await run.publish(run.plan.chunks[0])
            await until(lambda: wire.sent >= 10, what="some events are signalled")
            await careless.die()
            await member.leave()
        heir = Member(bridge, world)
        heir.join()
        await run.publish(run.plan.chunks[1])
        await run.settled()
        await heir.leave()
        findings = check(await run.happened())
    assert {finding.kind for finding in findings} == {"lost"}, findings


async def test_a_request_id_of_its_own_for_each_try_signals_twice(world: World) -> None:
    """An answer that is lost is asked for again; with another request id the run has the signal twice.

    The second guard, the worker's, still keeps it from its handler.
    """
    async with small_run(world, roles={}) as run, bridges(world, 1) as [bridge]:
        with faulty_wire(WireFaults(seed=SEED, lost=0.2, random_request_ids=True)):
            member = Member(bridge, world)
            member.join()
            for chunk in run.plan.chunks:
                await run.publish(chunk)
            await run.settled()
            await member.leave()
        findings = check(await run.happened())
    assert {finding.kind for finding in findings} == {"duplicate signal"}, findings


async def test_a_worker_without_dedupe_handles_repeats_of_an_earlier_run(world: World) -> None:
    """A record that is there twice reaches the handler twice where its workflow has continued as new in between."""
    async with (
        small_run(world, roles={Role.CONTINUED: 1.0}, repeated=0.5, dedupe=False) as run,
        bridges(world, 1) as [bridge],
    ):
        member = Member(bridge, world)
        member.join()
        for chunk in run.plan.chunks:
            await run.publish(chunk)
            await run.settled()
        await member.leave()
        findings = check(await run.happened())
    assert {finding.kind for finding in findings} == {"duplicate effect"}, findings
