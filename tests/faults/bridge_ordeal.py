"""One run of events through a bridge: publishing a plan, members that serve it, and what has happened at the end."""

from __future__ import annotations

import asyncio
import json
import operator
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from aiokafka import AIOKafkaConsumer, TopicPartition
from prometheus_client import CollectorRegistry
from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError

import tests.bridge_process
from consumers.bridge.delivery import Reason
from infra.errors import UnavailableError
from tests.bridge_support import World
from tests.faults.bridge_checker import Fate, Happened, Produced
from tests.faults.bridge_plan import ROUTES, WORKFLOW_ID, Plan, PlannedRecord, Role
from tests.faults.bridge_recipient import Recipients
from tests.faults.bridge_wire import WireFaults
from tests.forked import ForkedProcess, fork
from tests.waiting import until
from tidegate.audit import LedgerEntry
from tidegate.wiring.bridge import Bridge, open_bridge
from workflows.contracts.base import EVENT_ID_HEADER

SESSION_SECONDS = 3.0
"""After which Kafka gives the partitions of a member that was killed to others."""
_AT_ONCE = 16
_FATES: dict[Role, Fate] = {Role.CLOSING: "handled or late", Role.NEVER: "expired"}


@dataclass(slots=True)
class Run:
    """A plan on its way through ``world``; ``produced`` are the records so far."""

    world: World
    plan: Plan
    recipients: Recipients
    produced: list[Produced] = field(default_factory=list)

    async def begin_chunk(self, number: int) -> None:
        """Start the workflows that appear before this chunk."""
        starting = self.plan.starting(number)
        for first in range(0, len(starting), _AT_ONCE):
            await asyncio.gather(
                *(
                    self.recipients.start(WORKFLOW_ID.format(order_id=order_id), self.plan.roles[order_id])
                    for order_id in starting[first : first + _AT_ONCE]
                )
            )

    async def publish(self, records: tuple[PlannedRecord, ...]) -> list[Produced]:
        """Publish ``records``; what they are in the topic."""
        published = await asyncio.gather(*map(self._publish, records))
        self.produced += published
        return published

    async def _publish(self, planned: PlannedRecord) -> Produced:
        order_id = planned.event.key
        sent = await self.world.publish(
            planned.event, event_id=planned.event_id, value=planned.value, headers=planned.headers
        )
        fate: Fate = "poison" if planned.poison else _FATES.get(self.plan.roles[order_id], "handled")
        reason = planned.poison or (Reason.EXPIRED if fate == "expired" else None)
        return Produced(
            event_id=planned.event_id,
            key=order_id,
            workflow_id=WORKFLOW_ID.format(order_id=order_id),
            partition=sent.partition,
            offset=sent.offset,
            fate=fate,
            reason=reason.value if reason else None,
        )

    async def passed(self) -> None:
        """Return once every record so far is passed by a commit."""
        world = self.world
        places = [TopicPartition(world.topic, number) for number in range(world.partitions)]
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=world.settings.kafka.bootstrap_servers,
            group_id=world.group,
            enable_auto_commit=False,
        )
        await consumer.start()

        async def all_are() -> bool:
            ends = await consumer.end_offsets(places)
            committed = [await consumer.committed(place) or 0 for place in places]
            return all(map(operator.ge, committed, (ends[place] for place in places)))

        try:
            await until(all_are, every=0.25, what="every record is passed by a commit")
        finally:
            await consumer.stop()

    async def settled(self) -> None:
        """Return once every record is passed, and no event waits for its workflow any more."""
        await self.passed()

        async def none_waits() -> bool:
            return not await self.world.parked()

        await until(none_waits, every=0.25, what="no event is parked")

    async def terminate(self) -> None:
        """Close every workflow, for a server that others go on to use."""
        for workflow_id in self._workflow_ids:
            with suppress(RPCError):
                await self.world.terminate(workflow_id)

    @property
    def _workflow_ids(self) -> list[str]:
        return [
            WORKFLOW_ID.format(order_id=order_id)
            for order_id, role in self.plan.roles.items()
            if role is not Role.NEVER
        ]

    async def happened(self) -> Happened:
        """Everything that the run has left behind; nothing of it is under way any more."""
        world, workflow_ids = self.world, self._workflow_ids
        at_once = asyncio.Semaphore(_AT_ONCE)
        signalled: dict[tuple[str, str], tuple[UUID, ...]] = {}

        async def told(workflow_id: str) -> tuple[UUID, ...]:
            async with at_once:
                signalled.update(await _signals(world, workflow_id))
                return tuple(map(UUID, await self.recipients.told(workflow_id)))

        async with self.recipients.calm():
            handled = await asyncio.gather(*map(told, workflow_ids))
        count = await world.dead_letter_count()
        letters = await world.dead_letters(count) if count else []
        return Happened(
            produced=tuple(self.produced),
            handled=dict(zip(workflow_ids, handled, strict=True)),
            signalled=signalled,
            ledger=tuple(map(_entry, await world.ledger())),
            letters=tuple((letter.event_id, letter.reason.value) for _, letter in letters),
            parked=tuple(row["event_id"] for row in await world.parked()),
        )


class Member:
    """A bridge in this process that can join its group and leave it, and join again."""

    def __init__(self, bridge: Bridge, world: World) -> None:
        self._bridge = bridge
        self._world = world
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    def join(self) -> None:
        """Begin to serve; partitions come when the group has made room."""
        self._stop = asyncio.Event()
        self._serving = asyncio.create_task(self._serve(self._stop))

    async def leave(self) -> None:
        """Drain, commit and leave the group; nothing where it has not joined."""
        self._stop.set()
        if self._serving is not None:
            serving, self._serving = self._serving, None
            await serving

    async def _serve(self, stop: asyncio.Event) -> None:
        options = self._world.options(workers=16, session_timeout=SESSION_SECONDS)
        while not stop.is_set():
            # a registry of figures belongs to one consumer
            bridge = replace(self._bridge, registry=CollectorRegistry())
            try:
                await bridge.serve(options, stop, topics=[self._world.topic])
            except UnavailableError:
                await asyncio.sleep(0.2)  # as a supervisor that starts it again: the broker is away


@asynccontextmanager
async def bridges(world: World, count: int) -> AsyncIterator[list[Bridge]]:
    """``count`` bridges that are connected and serve nothing yet."""
    async with AsyncExitStack() as opened:
        yield [
            await opened.enter_async_context(open_bridge(world.settings, routes=ROUTES, look_every=0.2))
            for _ in range(count)
        ]


@asynccontextmanager
async def members(world: World, count: int) -> AsyncIterator[list[Member]]:
    """``count`` members that have not joined; all have left at the end of the block."""
    async with bridges(world, count) as connected:
        made = [Member(bridge, world) for bridge in connected]
        try:
            yield made
        finally:
            await asyncio.gather(*(member.leave() for member in made))


@asynccontextmanager
async def bridge_process(
    world: World, faults: WireFaults, *, member: str = "", drain: float | None = None
) -> AsyncIterator[ForkedProcess]:
    """A bridge as a process of its own, which drains for ``drain`` seconds at most; gone at the end of the block."""
    settings = world.settings
    assert settings.postgres.dsn is not None
    environment = {
        **os.environ,
        **({"BRIDGE_MEMBER": member} if member else {}),
        **({"BRIDGE_DRAIN": str(drain)} if drain else {}),
        "TIDEGATE_POSTGRES__DSN": settings.postgres.dsn.get_secret_value(),
        "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": str(settings.kafka.bootstrap_servers),
        "TIDEGATE_REGISTRY__URL": str(settings.registry.url),
        "TIDEGATE_REGISTRY__PREFER_CACHE": "true",
        "TIDEGATE_TEMPORAL__ADDRESS": str(settings.temporal.address),
    }
    words = ["bridge_process", world.topic, world.group, faults.to_word()]
    process = await fork(tests.bridge_process.main, words, environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(120):
            await process.communicate()


async def joined(process: ForkedProcess) -> None:
    """Return once a bridge process has partitions, or has died already of what it was given with them."""
    async with asyncio.timeout(120):
        while await process.stdout.readline() not in {b"ready\n", b""}:
            continue


async def _signals(world: World, workflow_id: str) -> dict[tuple[str, str], tuple[UUID, ...]]:
    """The events whose signals stand in each run of the workflow."""
    found: dict[tuple[str, str], tuple[UUID, ...]] = {}
    run_id = ""
    while True:
        history = await world.client.get_workflow_handle(workflow_id, run_id=run_id or None).fetch_history()
        events = history.events
        started = events[0].workflow_execution_started_event_attributes
        found[workflow_id, started.original_execution_run_id] = tuple(
            UUID(
                json.loads(
                    event.workflow_execution_signaled_event_attributes.header.fields[EVENT_ID_HEADER].data
                )
            )
            for event in events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        )
        if not (run_id := started.continued_execution_run_id):
            return found


def _entry(row: dict[str, Any]) -> LedgerEntry:
    return LedgerEntry(
        event_id=row["event_id"],
        topic="t",
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"],
        workflow_id=row["workflow_id"],
        route=row["route"],
        outcome=row["outcome"],
        in_order=row["origin"] == "live" and row["outcome"] == "delivered",
    )
