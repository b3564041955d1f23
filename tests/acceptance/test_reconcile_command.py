"""``tidegate reconcile`` and ``tidegate schedules`` on real servers: stuck entities made by hand get on, once."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest_asyncio
from aiokafka import AIOKafkaProducer
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client

from infra.clients.kafka import aiokafka_options
from infra.clients.postgres import create_engine
from infra.local import Stack
from schemas.envelope import Envelope
from schemas.event import Event
from schemas.events import OrderReserved, PickCompleted, ShipmentDelivered
from tests.command_support import Workplace, workplace
from tests.reconciliation_support import Ground
from tests.services_support import Database
from tests.waiting import until
from tidegate.wiring.schemas import open_schemas
from tidegate.wiring.workflows import running_worker

_NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A place where something is stuck, and a client to look at what becomes of it."""

    place: Workplace
    ground: Ground
    client: Client

    async def idle_workflow(self, name: str, workflow_id: str) -> None:
        """A workflow that no worker serves: it takes signals, and does nothing."""
        await self.client.start_workflow(name, {"order_id": "x"}, id=workflow_id, task_queue="nobody")

    async def signals(self, workflow_id: str) -> list[str]:
        """The names of the signals that the workflow was sent, in order."""
        history = await self.client.get_workflow_handle(workflow_id).fetch_history()
        return [
            event.workflow_execution_signaled_event_attributes.signal_name
            for event in history.events
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]


@pytest_asyncio.fixture(loop_scope="session")
async def stuck(
    stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str, unique: str
) -> AsyncIterator[Stuck]:
    """Fresh databases and a namespace of its own on the shared servers, with the workers that a run needs."""
    async with workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as place:
        settings = place.settings
        settings.temporal.namespace = f"reconcile-{unique}"
        place.environment["TIDEGATE_TEMPORAL__NAMESPACE"] = settings.temporal.namespace
        whole = await Client.connect(settings.temporal.address or "")
        day = Duration(seconds=24 * 3600)
        await whole.workflow_service.register_namespace(
            RegisterNamespaceRequest(
                namespace=settings.temporal.namespace, workflow_execution_retention_period=day
            )
        )
        client = await Client.connect(settings.temporal.address or "", namespace=settings.temporal.namespace)
        engine = create_engine(settings.postgres)
        async with contextlib.AsyncExitStack() as workers:
            for queue in ("order-processing", "oms", "ims"):
                await workers.enter_async_context(running_worker(settings, queue))
            yield Stuck(place, Ground(Database(engine)), client)
        await engine.dispose()


async def test_a_run_without_workers_says_what_it_waits_for(
    stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str
) -> None:
    """It does not stand there in silence: the workers that it needs are named."""
    async with workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as place:
        client = await Client.connect(place.settings.temporal.address or "")
        namespace = f"reconcile-{uuid4().hex[:8]}"
        day = Duration(seconds=24 * 3600)
        await client.workflow_service.register_namespace(
            RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=day)
        )
        place.environment["TIDEGATE_TEMPORAL__NAMESPACE"] = namespace
        process = await place.start("reconcile", "--once")
        told = ""
        try:
            while "tidegate run" not in told:
                told = (await asyncio.wait_for(process.stderr.readline(), 120)).decode()
                assert told, "it ended and did not say so"
        finally:
            process.terminate()
            assert await process.wait() == 143
        assert "order-processing and oms" in told


async def test_what_is_stuck_gets_on(stuck: Stuck, unique: str) -> None:
    """The plan names it and changes nothing; a run resumes it; a second one has nothing to do and sends nothing."""
    ground, place = stuck.ground, stuck.place
    lonely, cancelled, paid, sent = (f"{name}-{unique}" for name in ("lonely", "cancelled", "paid", "sent"))
    await ground.order(lonely)
    await ground.order(cancelled, "CANCELLED")
    await ground.reservation(cancelled, "RESERVED")
    await ground.put("INSERT INTO ims.items (sku, received, reserved) VALUES ('A', 1, 1)")
    await ground.put("INSERT INTO ims.reservation_lines VALUES (:id, 'A', 1)", id=cancelled)
    await _paid_order_that_waits_for_its_reservation(stuck, paid)
    await _order_whose_delivery_was_forgotten(stuck, sent)
    await _parked(stuck, f"order-fulfillment-{unique}")

    plan = (await place.tidegate("reconcile", "--dry-run", "--json")).data["would"]
    assert {(one["kind"], one["subject"]) for one in plan} == {
        ("order_without_workflow", lonely),
        ("reservation_without_order", cancelled),
        ("event_not_taken", paid),
        ("event_not_taken", sent),
        ("parked_past_half", f"order-fulfillment-{unique}"),
    }
    assert await stuck.signals(f"order-{paid}") == []

    done = (await place.tidegate("reconcile", "--once", "--json")).data
    assert (done["resumed"], done["alerted"], done["failed"]) == (5, 0, [])
    assert (
        await stuck.client.get_workflow_handle(f"order-fulfillment-{lonely}").describe()
    ).workflow_type == ("OrderFulfillmentWorkflow")
    assert await ground.database.value(
        f"SELECT state FROM ims.reservations WHERE order_id = '{cancelled}'"
    ) == ("RELEASED")
    assert await stuck.signals(f"order-{paid}") == ["OrderReserved"]
    assert await stuck.signals(f"order-{sent}") == ["ShipmentDelivered"]
    assert await stuck.signals(f"order-fulfillment-{unique}") == ["PickCompleted"]
    assert await ground.database.value("SELECT count(*) FROM bridge.parked") == 0

    await ground.put("DELETE FROM reconciliation.resumptions")
    again = (await place.tidegate("reconcile", "--once", "--json")).data
    assert again["alerted"] == 0
    for workflow_id, signal in ((f"order-{paid}", "OrderReserved"), (f"order-{sent}", "ShipmentDelivered")):
        assert await stuck.signals(workflow_id) == [signal], "the same event is the same request"
    assert {one["kind"]: one["resumed"] for one in done["kinds"]}["event_not_taken"] == 2


async def test_schedules_are_made_once_and_run(stuck: Stuck) -> None:
    """Applied twice they are kept; each minute one run, which ends; a schedule that was paused stays paused."""
    place = stuck.place
    first = (await place.tidegate("schedules", "apply", "--json")).data["schedules"]
    assert first == {"reconciliation": "created", "cost-watch": "created"}
    await stuck.client.get_schedule_handle("cost-watch").pause()
    second = (await place.tidegate("schedules", "apply", "--json")).data["schedules"]
    assert second == {"reconciliation": "kept", "cost-watch": "kept"}
    await stuck.client.get_schedule_handle("reconciliation").trigger()

    async def ended() -> bool:
        found = stuck.client.list_workflows(
            'WorkflowType = "ReconciliationWorkflow" AND ExecutionStatus = "Completed"'
        )
        return any([one.id.startswith("reconciliation-") async for one in found])

    await until(ended, what="a scheduled run has ended")
    listed = json.loads((await place.tidegate("schedules", "list", "--json")).out)["schedules"]
    by_name = {one["schedule"]: one for one in listed}
    assert (by_name["reconciliation"]["every_seconds"], by_name["reconciliation"]["paused"]) == (60, False)
    assert by_name["reconciliation"]["runs"] >= 1
    assert by_name["cost-watch"]["paused"] is True


async def _paid_order_that_waits_for_its_reservation(stuck: Stuck, order_id: str) -> None:
    await stuck.ground.order(order_id, "RESERVED", flow="paid", checkout="COMPLETED")
    await stuck.ground.payment(order_id, "AUTHORIZED")
    await stuck.idle_workflow("OrderWorkflow", f"order-{order_id}")
    database = stuck.ground.database
    async with database.sessions.begin() as session:
        schemas = await open_schemas(stuck.place.settings)
        try:
            from outbox import Outbox

            await Outbox(schemas.codec).append(
                session,
                OrderReserved(order_id=order_id, reserved_at=_NOW),
                source="/services/oms",
                version=2,
                extensions={"flow": "paid"},
            )
        finally:
            await schemas.close()
    await stuck.ground.put(
        """
        INSERT INTO outbox.cursors (shard_group, revision, epoch, snapshot, floor, system_identifier, timeline,
                                    database_oid, generation)
        SELECT g, 1, 1, pg_current_snapshot(), 0, 1, 1, 1, gen_random_uuid() FROM generate_series(0, 7) AS g
        """
    )


async def _order_whose_delivery_was_forgotten(stuck: Stuck, order_id: str) -> None:
    """The ledger says that its workflow was told; the order says otherwise."""
    await stuck.ground.order(order_id, "SHIPPED", flow="paid", checkout="COMPLETED")
    await stuck.ground.payment(order_id, "CAPTURED")
    await stuck.idle_workflow("OrderWorkflow", f"order-{order_id}")
    event = ShipmentDelivered(order_id=order_id, shipment_id="s", delivered_at=_NOW)
    event_id, partition, offset = await _produce(stuck, event)
    await stuck.ground.put(
        """
        INSERT INTO bridge.ledger (event_id, event_type, topic, partition, "offset", key, route, workflow_id, outcome,
                                   origin, delivery, at)
        VALUES (:event_id, :type, :topic, :partition, :offset, :key, 'ShipmentDelivered:signal:ShipmentDelivered',
                'order-' || :key, 'delivered', 'live', 1, now() - interval '10 minutes')
        """,
        event_id=event_id,
        type=event.TYPE,
        topic=event.TOPIC,
        partition=partition,
        offset=offset,
        key=order_id,
    )


async def _parked(stuck: Stuck, workflow_id: str) -> None:
    """An event that the bridge has parked and forgotten, past half of its time; its workflow is there."""
    order_id = workflow_id.removeprefix("order-fulfillment-")
    await stuck.idle_workflow("OrderFulfillmentWorkflow", workflow_id)
    schemas = await open_schemas(stuck.place.settings)
    event = PickCompleted(order_id=order_id, wave_id="w", picked_at=_NOW)
    value = schemas.codec.encode(event)
    await schemas.close()
    await stuck.ground.parked(workflow_id, waited=13)
    envelope = _envelope(event, uuid4())
    await stuck.ground.put(
        "UPDATE bridge.parked SET event_id = :id, key = :key, value = :value, header_names = :names,"
        " header_values = :values",
        id=envelope.id,
        key=order_id.encode(),
        value=value,
        names=[name for name, _ in envelope.to_headers()],
        values=[header for _, header in envelope.to_headers()],
    )


async def _produce(stuck: Stuck, event: Event) -> tuple[UUID, int, int]:
    envelope = _envelope(event, uuid4())
    schemas = await open_schemas(stuck.place.settings)
    producer = AIOKafkaProducer(**aiokafka_options(stuck.place.settings.kafka))
    await producer.start()
    try:
        sent = await producer.send_and_wait(
            event.TOPIC,
            schemas.codec.encode(event),
            key=event.key.encode(),
            headers=envelope.to_headers(),
        )
    finally:
        await asyncio.gather(producer.stop(), schemas.close())
    return envelope.id, sent.partition, sent.offset


def _envelope(event: Event, event_id: UUID) -> Envelope:
    return Envelope(
        id=event_id,
        type=event.TYPE,
        source="/upstream/test",
        subject=event.key,
        time=_NOW,
        extensions={"flow": "paid"},
    )
