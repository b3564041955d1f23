"""Many workflows at once while activities fail: how many fail for good, and whether anything was done twice.

Real workflows on real workers and a real Temporal server with encrypted payloads, and the real services on
PostgreSQL; the simulated parts are the floor, whose reports this driver sends, and the carrier's labels. An order is
two workflows, its intake and its fulfillment.

Source: 000, "Success Metrics"; issue "The whole order business", "Workflow failure rate".
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import stamina
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import WorkflowIDReusePolicy

from consumers.bridge.routes import ROUTES
from consumers.bridge.temporal import Delivery, TemporalGateway
from consumers.errors import RetryLaterError
from infra.clients.search_attributes import ensure_search_attributes
from infra.clients.temporal import connect
from infra.ids import order_id_of
from infra.secrets import Secret
from infra.settings import TemporalSettings
from services import ims, oms, sms, wms
from services.ims import StockRow
from tests.services_support import SERVICE_ROOMS, Database, PlainCarrier, migrated
from tests.soak.faults import InjectedFaults
from tidegate.wiring.workflows import methods
from workflows.activities.ims import ImsActivities
from workflows.activities.oms import OmsActivities
from workflows.activities.origin import StampOrigin
from workflows.activities.sms import SmsActivities
from workflows.activities.wms import WmsActivities
from workflows.contracts.base import ORDER_PROCESSING_QUEUE
from workflows.contracts.orders import (
    ORDER_FULFILLMENT,
    ORDER_INTAKE,
    OrderIntakeRequest,
    OrderLineInput,
)
from workflows.visibility import SEARCH_ATTRIBUTES
from workflows.worker import WorkerLimits, build_worker

ORDERS_AT_ONCE = 120
"""Orders under way at any time: enough that two cores never wait for an attempt that is to time out."""
CONNECTIONS = 16
PUBLISHED = 9
"""Events that the services publish for an order that ships."""


@dataclass(frozen=True, slots=True)
class SoakResult:
    """What came of a soak. ``failed`` counts workflows that ended otherwise than they should, by what they ended as;
    ``doubled`` names what was done more than once, or is left over."""

    workflows: int
    failed: dict[str, int]
    failure_rate: float
    attempts: int
    faults: dict[str, int]
    fault_rate: float
    doubled: tuple[str, ...]
    seconds: float
    workflows_per_second: float

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


class Soak:
    """The world of a soak: servers at addresses, workers in this process."""

    def __init__(self, client: Client, database: Database, faults: InjectedFaults) -> None:
        self._client = client
        self._gateway = TemporalGateway(client)
        self._database = database
        self._faults = faults
        self._ended: Counter[tuple[str, str]] = Counter()

    async def run(self, workflows: int) -> SoakResult:
        """Take ``workflows // 2`` orders through intake and fulfillment."""
        began = time.monotonic()
        at_once = asyncio.Semaphore(ORDERS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for number in range(workflows // 2):
                await at_once.acquire()
                order = group.create_task(self._one(f"soak-{number}"))
                order.add_done_callback(lambda _: at_once.release())
        seconds = time.monotonic() - began
        total = sum(self._ended.values())
        failed = {
            f"{kind}: {end}": count
            for (kind, end), count in sorted(self._ended.items())
            if end not in {"COMPLETED", "SHIPPED"}
        }
        faults = {kind: count for kind, count in sorted(self._faults.counted.items()) if kind}
        attempts = sum(self._faults.counted.values())
        return SoakResult(
            workflows=total,
            failed=failed,
            failure_rate=sum(failed.values()) / total,
            attempts=attempts,
            faults=faults,
            fault_rate=round(sum(faults.values()) / attempts, 4),
            doubled=tuple(await self._doubled(workflows // 2)),
            seconds=round(seconds, 1),
            workflows_per_second=round(total / seconds, 2),
        )

    async def _one(self, request_id: str) -> None:
        order_id = order_id_of(request_id)
        intake = await self._client.start_workflow(
            ORDER_INTAKE.name,
            OrderIntakeRequest(
                order_id=order_id,
                request_id=request_id,
                customer_id="customer-1",
                currency="EUR",
                ordered_at="2026-11-21T10:00:00Z",
                lines=(OrderLineInput("bolt", 2, "1.50"), OrderLineInput("nut", 1, "0.20", "0.15")),
            ),
            id=ORDER_INTAKE.workflow_id(request_id=request_id),
            task_queue=ORDER_INTAKE.queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        )
        if not await self._end("intake", intake, expected=None):
            return
        fulfillment = self._client.get_workflow_handle(
            ORDER_FULFILLMENT.workflow_id(order_id=order_id), result_type=str
        )
        for event in ("PickCompleted", "PackCompleted"):
            route = next(route for route in ROUTES if route.event.endswith(f".{event}"))
            await self._deliver(Delivery(uuid4(), route, fulfillment.id, {"order_id": order_id}))
        await self._end("fulfillment", fulfillment, expected="SHIPPED")

    @stamina.retry(on=RetryLaterError, attempts=None, timeout=600.0)
    async def _deliver(self, delivery: Delivery) -> None:
        """As the bridge does: what Temporal does not take now is sent again, with the same request id."""
        await self._gateway.deliver(delivery)

    async def _end(self, kind: str, handle: Any, *, expected: str | None) -> bool:
        try:
            result = await handle.result()
        except WorkflowFailureError as failure:
            self._ended[kind, type(failure.cause).__name__] += 1
            return False
        end = "COMPLETED" if expected is None else str(result)
        self._ended[kind, end] += 1
        return expected is None or result == expected

    async def _doubled(self, orders: int) -> list[str]:
        """What the tables say was done twice, or not at all, or is still held."""
        expected = {
            "SELECT count(*) FROM oms.orders WHERE state = 'SHIPPED'": orders,
            "SELECT count(*) FROM oms.orders": orders,
            "SELECT count(*) FROM wms.waves": orders,
            "SELECT count(*) FROM sms.shipments WHERE state = 'CONFIRMED'": orders,
            "SELECT count(*) FROM sms.shipments": orders,
            "SELECT sum(reserved)::int FROM ims.items": 0,
            "SELECT consumed FROM ims.items WHERE sku = 'bolt'": 2 * orders,
            "SELECT consumed FROM ims.items WHERE sku = 'nut'": orders,
            "SELECT count(*) FROM outbox.events WHERE subject IN (SELECT order_id FROM oms.orders)": PUBLISHED
            * orders,
            "SELECT count(*) FROM (SELECT FROM outbox.events GROUP BY subject, type HAVING count(*) > 1) AS twice": 0,
        }
        found = []
        for query, wanted in expected.items():
            value = await self._database.value(query)
            if value != wanted:
                found.append(f"{query}: {value}, not {wanted}")
        return found


@contextlib.asynccontextmanager
async def soaking(
    temporal_address: str, postgres_dsn: str, faults: InjectedFaults, *, stock: int
) -> AsyncIterator[Soak]:
    """A soak on these servers, in a namespace and a database of its own."""
    settings = TemporalSettings(
        address=temporal_address,
        namespace=f"soak-{secrets.token_hex(4)}",
        payload_keys=Secret(f"soak={base64.b64encode(os.urandom(32)).decode()}"),
    )
    first = await connect(TemporalSettings(address=temporal_address))
    await first.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=settings.namespace, workflow_execution_retention_period=Duration(seconds=24 * 3600)
        )
    )
    client = await connect(settings)
    await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
    async with (
        migrated(postgres_dsn, SERVICE_ROOMS, connections=CONNECTIONS) as database,
        contextlib.AsyncExitStack() as workers,
    ):
        contexts = _contexts(database)
        await contexts["ims"][0].load("soak", [StockRow("bolt", 2 * stock), StockRow("nut", stock)])
        await workers.enter_async_context(build_worker(client, ORDER_PROCESSING_QUEUE))
        for queue, (_, implementation) in contexts.items():
            worker = build_worker(
                client,
                queue,
                activities=methods(implementation),
                around_activities=[faults, StampOrigin()],
                limits=WorkerLimits(activities=CONNECTIONS),
            )
            await workers.enter_async_context(worker)
        yield Soak(client, database, faults)


def _contexts(database: Database) -> dict[str, tuple[Any, Any]]:
    """Each context's service, and its activities, by queue."""
    parts = (database.sessions, database.outbox)
    orders, stock = oms.Oms(*parts), ims.Ims(*parts)
    waves, shipments = wms.Wms(*parts), sms.Sms(*parts, PlainCarrier())
    return {
        "oms": (orders, OmsActivities(orders)),
        "ims": (stock, ImsActivities(stock, orders)),
        "wms": (waves, WmsActivities(waves, stock)),
        "sms": (shipments, SmsActivities(shipments)),
    }
