"""Reconciliation, wired to the database, to Temporal, and, once something must be delivered, to a bridge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from temporalio.client import Client
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from consumers.runtime.record import ConsumedRecord
from infra.clients import temporal
from infra.settings import Settings
from outbox import Outbox
from schemas.envelope import Envelope
from services.reconciliation import Budgets, CostWatch, Reconciliation, StoredEvent
from workflows.activities.reconciliation import CostActivities, Reconciler, ReconciliationActivities
from workflows.contracts.base import WorkflowContract
from workflows.reconciling import Existence, Found
from workflows.visibility import STATUS

if TYPE_CHECKING:
    from tidegate.wiring.bridge import Bridge

_LOOK_TIME: Final = timedelta(seconds=10)


class LiveWorkflows:
    """The workflows of one namespace, and the bridge's own ways to them. The bridge opens when it is needed first."""

    def __init__(self, settings: Settings, client: Client, memory: Reconciliation) -> None:
        self._settings = settings
        self._client = client
        self._memory = memory
        self._opened = AsyncExitStack()
        self._bridge: Bridge | None = None
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """End the bridge's connections, where there are any."""
        await self._opened.aclose()

    async def look(self, workflow_id: str) -> Found:
        """What there is under ``workflow_id``. Raises RPCError where Temporal cannot say."""
        from consumers.bridge.answers import answer_of
        from consumers.bridge.delivery import Answer

        try:
            described = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=_LOOK_TIME)
        except RPCError as error:
            if answer_of(error) is Answer.NOT_FOUND:
                return Found(Existence.MISSING)
            raise
        runs = described.close_time is None
        return Found(
            Existence.RUNNING if runs else Existence.CLOSED, described.typed_search_attributes.get(STATUS)
        )

    async def start(self, contract: WorkflowContract, workflow_id: str, argument: Mapping[str, Any]) -> None:
        """Start it, unless it is there."""
        try:
            await self._client.start_workflow(
                contract.name,
                dict(argument),
                id=workflow_id,
                task_queue=contract.queue,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                rpc_timeout=_LOOK_TIME,
            )
        except WorkflowAlreadyStartedError:
            structlog.get_logger().info("it had started meanwhile", workflow_id=workflow_id)

    async def deliver(self, event: StoredEvent, workflow_id: str) -> None:
        """Signal ``workflow_id`` with ``event`` as the bridge would, under the event's id."""
        envelope = Envelope(
            id=event.event_id,
            type=event.type,
            source=event.source,
            subject=event.key,
            time=event.time,
            extensions=event.extensions,
        )
        record = ConsumedRecord(
            topic=event.topic,
            partition=-1,
            offset=-1,
            key=event.key.encode(),
            value=event.value,
            headers=(),
            timestamp_ms=int(event.time.timestamp() * 1000),
        )
        await self._signal(record, envelope, workflow_id)

    async def tell_again(self, workflow_id: str) -> int:
        """Deliver again what the ledger says the workflow was told, from the topics; how many events."""
        places = await self._memory.deliveries(workflow_id)
        if not places:
            return 0
        from consumers.bridge.reading import PoisonedError
        from consumers.replay.selection import Selection
        from consumers.replay.source import KafkaSource

        bridge = await self._open()
        source = KafkaSource(self._settings.kafka)
        told = 0
        for place in places:
            wanted = Selection(
                topic=place.topic,
                partitions=frozenset({place.partition}),
                from_offset=place.offset,
                to_offset=place.offset + 1,
            )
            async for batch in source.read(wanted):
                for record in batch:
                    try:
                        await self._signal(record, await bridge.reader.envelope(record), workflow_id)
                    except PoisonedError as poison:
                        # It is the bridge's dead letter; what else the workflow was told must reach it.
                        structlog.get_logger().warning("passed over", reason=poison.reason.sentence)
                        continue
                    told += 1
        return told

    async def retry_parked(self, workflow_id: str) -> int:
        """Try the events that are parked for ``workflow_id`` now; how many are parked no longer."""
        return await (await self._open()).unparker.visit(workflow_id)

    async def count_started(self, since: datetime) -> int:
        """How many workflows were started since ``since``, as far as Temporal's visibility knows."""
        counted = await self._client.count_workflows(f'StartTime >= "{since.isoformat()}"')
        return counted.count

    async def _signal(self, record: ConsumedRecord, envelope: Envelope, workflow_id: str) -> None:
        from consumers.bridge.temporal import Delivery
        from consumers.errors import KeyWaitsError

        bridge = await self._open()
        event = await bridge.reader.event(record, envelope)
        for route in bridge.table.wanting(envelope):
            if route.action not in ("signal", "signal_with_start") or route.workflow_id(event) != workflow_id:
                continue
            argument = bridge.reader.argument(event, envelope)
            try:
                await bridge.temporal.deliver(Delivery(envelope.id, route, workflow_id, argument))
            except KeyWaitsError as waits:
                structlog.get_logger().warning("left for the next run", reason=str(waits))

    async def _open(self) -> Bridge:
        async with self._opening:
            if self._bridge is None:
                from tidegate.wiring.bridge import open_bridge

                self._bridge = await self._opened.enter_async_context(
                    open_bridge(self._settings, identity="tidegate-reconciliation")
                )
        return self._bridge


@asynccontextmanager
async def open_reconciler(settings: Settings) -> AsyncIterator[tuple[Reconciler, Reconciliation]]:
    """Reconciliation in this process. Raises as :func:`tidegate.wiring.services.open_services` and ``connect``."""
    from tidegate.wiring.services import open_database

    async with open_database(settings) as (sessions, outbox):
        memory = Reconciliation(sessions, outbox)
        client = await temporal.connect(settings.temporal, identity="tidegate-reconcile")
        workflows = LiveWorkflows(settings, client, memory)
        try:
            yield Reconciler(memory, workflows), memory
        finally:
            await workflows.close()


def reconciliation_activities(
    settings: Settings,
    client: Client,
    sessions: async_sessionmaker[AsyncSession],
    outbox: Outbox,
    opened: AsyncExitStack,
) -> tuple[ReconciliationActivities, CostActivities]:
    """The activities of reconciliation and cost watch, for the worker of OMS's queue; ``opened`` ends them."""
    memory = Reconciliation(sessions, outbox)
    workflows = LiveWorkflows(settings, client, memory)
    opened.push_async_callback(workflows.close)
    of = settings.costs
    budgets = Budgets(of.workflows, of.events, timedelta(seconds=of.window_seconds))
    return (
        ReconciliationActivities(Reconciler(memory, workflows), memory),
        CostActivities(CostWatch(sessions, outbox, budgets), workflows),
    )
