"""Partial states made by hand, and a Temporal that says what a test wants it to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text

from infra.clients.temporal import connect
from infra.settings import Settings
from outbox import Outbox
from services.reconciliation import Kind, Reconciliation, StoredEvent
from tests.services_support import Database
from tidegate.wiring.reconciliation import LiveWorkflows
from tidegate.wiring.schemas import open_schemas
from tidegate.wiring.services import open_sessions
from workflows.activities.reconciliation import Reconciler
from workflows.contracts.base import WorkflowContract
from workflows.reconciling import Existence, Found


@asynccontextmanager
async def reconciling(settings: Settings) -> AsyncIterator[list[str]]:
    """Reconcile without a pause and without any grace while the block runs; what was done is in the list.

    In the hands of sound workflows nothing is stuck, however young: the list stays empty.
    """
    done: list[str] = []
    async with open_sessions(settings) as sessions:
        schemas = await open_schemas(settings)
        memory = Reconciliation(sessions, Outbox(schemas.codec))
        workflows = LiveWorkflows(settings, await connect(settings.temporal), memory)
        reconciler = Reconciler(memory, workflows, grace=timedelta(0))

        looked_at = 0

        async def again_and_again() -> None:
            nonlocal looked_at
            while True:
                for kind in Kind:
                    batch = await reconciler.batch(kind)
                    looked_at += batch.candidates
                    if batch.resumed or batch.alerted or batch.steps:
                        done.append(f"{kind}: {batch}")
                await asyncio.sleep(0)

        working = asyncio.create_task(again_and_again())
        try:
            yield done
        finally:
            working.cancel()
            outcome = await asyncio.gather(working, return_exceptions=True)
            await asyncio.gather(workflows.close(), schemas.close())
        assert isinstance(outcome[0], asyncio.CancelledError), outcome
        assert looked_at > 0, "there was nothing to look at"


class FakeWorkflows:
    """Answers looks, and notes what it was asked to do. Workflows that nobody named are missing."""

    def __init__(self) -> None:
        self.there: dict[str, Found] = {}
        self.started: list[tuple[str, str, Mapping[str, Any]]] = []
        self.delivered: list[tuple[str, str]] = []
        self.told_again: list[str] = []
        self.retried: list[str] = []
        self.looks: list[str] = []
        self.workflows_started = 0

    def running(self, workflow_id: str, status: str | None = None) -> None:
        """There is such a workflow, and it runs."""
        self.there[workflow_id] = Found(Existence.RUNNING, status)

    def closed(self, workflow_id: str) -> None:
        """There was such a workflow."""
        self.there[workflow_id] = Found(Existence.CLOSED)

    async def look(self, workflow_id: str) -> Found:
        """What the test said."""
        self.looks.append(workflow_id)
        return self.there.get(workflow_id, Found(Existence.MISSING))

    async def start(self, contract: WorkflowContract, workflow_id: str, argument: Mapping[str, Any]) -> None:
        """Noted; it runs from now on."""
        self.started.append((contract.name, workflow_id, argument))
        self.running(workflow_id)

    async def deliver(self, event: StoredEvent, workflow_id: str) -> None:
        """Noted."""
        self.delivered.append((event.type.rpartition(".")[2], workflow_id))

    async def tell_again(self, workflow_id: str) -> int:
        """Noted."""
        self.told_again.append(workflow_id)
        return 0

    async def retry_parked(self, workflow_id: str) -> int:
        """Noted; one event is parked no longer."""
        self.retried.append(workflow_id)
        return 1

    async def count_started(self, since: datetime) -> int:
        """What the test said."""
        return self.workflows_started


class Ground:
    """A migrated database with the rows that a test wants, and reconciliation on it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.memory = Reconciliation(database.sessions, database.outbox)
        self.workflows = FakeWorkflows()
        self.reconciler = Reconciler(self.memory, self.workflows)

    async def empty(self) -> None:
        """Forget every row, as if the database were new."""
        await self.put(
            """
            TRUNCATE oms.orders, ims.items, ims.reservations, ims.replenishments, sms.shipments, checkouts.checkouts,
                     payments.payments, bridge.parked, bridge.ledger, outbox.events, outbox.cursors,
                     reconciliation.resumptions, reconciliation.alerts, reconciliation.positions,
                     reconciliation.event_counts, reconciliation.cost_alerts RESTART IDENTITY CASCADE
            """
        )

    async def run(self) -> dict[str, tuple[int, int, int]]:
        """One run over every kind: resumed, alerted, and left to owners, by kind; only where there is any."""
        found = {}
        for kind in Kind:
            batch = await self.reconciler.batch(kind)
            for step in batch.steps:
                await self.memory.record(
                    kind, step.subject, datetime.fromisoformat(step.since), step.activity
                )
            outcome = (batch.resumed, batch.alerted, len(batch.steps))
            if any(outcome):
                found[kind.value] = outcome
        return found

    async def alerts(self) -> list[tuple[str, str]]:
        """Kind and subject of each ReconciliationAlert."""
        published = await self.database.published(source="/services/reconciliation")
        return [(one.event.kind, one.event.subject) for one in published]  # type: ignore[attr-defined]

    async def put(self, statement: str, **values: Any) -> None:
        """Run one statement."""
        async with self.database.engine.begin() as connection:
            await connection.execute(text(statement), values)

    async def order(
        self,
        order_id: str,
        state: str = "CREATED",
        *,
        flow: str = "direct",
        minutes: float = 10,
        checkout: str | None = None,
    ) -> None:
        """An order in ``state`` since ``minutes`` ago, with its checkout where ``checkout`` names its state."""
        over = state in ("FAILED", "CANCELLED")
        await self.put(
            """
            INSERT INTO oms.orders (order_id, request_id, customer_id, currency, ordered_at, flow, state, version,
                                    created_at, reserved_at, shipped_at, closed_at)
            VALUES (:id, 'r-' || :id, 'c', 'EUR', now(), :flow, :state, 1, now() - :age, now() - :age,
                    CASE WHEN :state IN ('SHIPPED', 'DELIVERED') THEN now() - :age END,
                    CASE WHEN :over THEN now() - :age END)
            """.replace(":age", f"interval '{minutes} minutes'"),
            id=order_id,
            flow=flow,
            state=state,
            over=over,
        )
        if checkout:
            await self.put(
                """
                INSERT INTO checkouts.checkouts (checkout_id, order_id, holds_order, request_id, customer_id, currency,
                                                 amount, state, version, reasons, recorded_at)
                VALUES ('c-' || :id, :id, true, 'r-' || :id, 'c', 'EUR', 1, :state, 1, '{}',
                        now() - interval '20 minutes')
                """,
                id=order_id,
                state=checkout,
            )

    async def reservation(self, order_id: str, state: str = "RESERVED", *, minutes: float = 10) -> None:
        """A reservation of one piece."""
        await self.put(
            """
            INSERT INTO ims.reservations (order_id, reservation_id, state, flow, version, requested_at, changed_at)
            VALUES (:id, 'res-' || :id, :state, 'direct', 1, now(), now() - :age)
            """.replace(":age", f"interval '{minutes} minutes'"),
            id=order_id,
            state=state,
        )

    async def shipment(self, order_id: str, state: str = "CREATED", *, minutes: float = 10) -> None:
        """A shipment."""
        await self.put(
            """
            INSERT INTO sms.shipments (order_id, shipment_id, state, flow, version, created_at)
            VALUES (:id, 's-' || :id, :state, 'direct', 1, now() - :age)
            """.replace(":age", f"interval '{minutes} minutes'"),
            id=order_id,
            state=state,
        )

    async def payment(self, order_id: str, state: str = "AUTHORIZED", *, minutes: float = 10) -> None:
        """A payment."""
        await self.put(
            """
            INSERT INTO payments.payments (order_id, payment_id, state, version, amount, currency, captured,
                                           requested_at, authorized_at, captured_at)
            VALUES (:id, 'p-' || :id, :state, 1, 5, 'EUR', CASE WHEN :taken THEN 5 ELSE 0 END, now() - :age,
                    CASE WHEN :state <> 'NEW' THEN now() - :age END, CASE WHEN :taken THEN now() - :age END)
            """.replace(":age", f"interval '{minutes} minutes'"),
            id=order_id,
            state=state,
            taken=state == "CAPTURED",
        )

    async def parked(self, workflow_id: str, *, waited: float, of: float = 24) -> None:
        """An event that has waited ``waited`` of its ``of`` hours."""
        await self.put(
            """
            INSERT INTO bridge.parked (event_id, event_type, route, workflow_id, topic, partition, "offset",
                                       timestamp_ms, header_names, header_values, origin, parked_at, deadline)
            VALUES (gen_random_uuid(), 'tidegate.wms.warehouse.PickCompleted', 'PickCompleted:signal:PickCompleted',
                    :id, 'wms.warehouse', 0, 0, 0, '{}', '{}', 'live', now() - :waited, now() - :waited + :of)
            """.replace(":waited", f"interval '{waited} hours'").replace(":of", f"interval '{of} hours'"),
            id=workflow_id,
        )

    async def replenishment(
        self, sku: str, cycle: int, state: str = "ORDERED", *, minutes: float = 10
    ) -> None:
        """A lot of ten pieces."""
        await self.put("INSERT INTO ims.items (sku) VALUES (:sku) ON CONFLICT DO NOTHING", sku=sku)
        await self.put(
            """
            INSERT INTO ims.replenishments (sku, cycle, state, ordered, decided_at)
            VALUES (:sku, :cycle, :state, 10, now() - :age)
            """.replace(":age", f"interval '{minutes} minutes'"),
            sku=sku,
            cycle=cycle,
            state=state,
        )
