"""The workflows over the real services: PostgreSQL, a real Temporal server, no fakes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError, WorkflowHandle

from infra.ids import order_id_of
from services import ims, oms, sms, wms
from services.ims import StockRow
from tests.services_support import SERVICE_ROOMS, Database, PlainCarrier, migrated
from tests.waiting import until
from tests.workflow_support import World, new_namespace, reached, submission
from tidegate.wiring.workflows import methods
from workflows.activities.ims import ImsActivities
from workflows.activities.oms import OmsActivities
from workflows.activities.origin import StampOrigin
from workflows.activities.sms import SmsActivities
from workflows.activities.wms import WmsActivities
from workflows.contracts.orders import (
    CANCEL_ORDER,
    INVENTORY_ALLOCATED,
    ORDER_FULFILLMENT,
    PACK_COMPLETED,
    PICK_COMPLETED,
)
from workflows.worker import build_worker


class Business:
    """The four services, the workflows over them, and what they published."""

    def __init__(self, database: Database, world: World) -> None:
        self.database = database
        self.world = world
        sessions, outbox = database.sessions, database.outbox
        self.oms = oms.Oms(sessions, outbox)
        self.ims = ims.Ims(sessions, outbox)
        self.wms = wms.Wms(sessions, outbox)
        self.sms = sms.Sms(sessions, outbox, PlainCarrier())

    def activities(self, queue: str) -> list[Any]:
        """The activities of one queue."""
        implementations = {
            "oms": OmsActivities(self.oms),
            "ims": ImsActivities(self.ims, self.oms),
            "wms": WmsActivities(self.wms, self.ims),
            "sms": SmsActivities(self.sms),
        }
        return methods(implementations[queue])

    async def submit(self, request_id: str) -> tuple[str, WorkflowHandle[Any, str]]:
        """Take an order in; its id and its fulfillment."""
        order_id = await (await self.world.take_in(submission(request_id), request_id)).result()
        return order_id, self.world.client.get_workflow_handle(
            ORDER_FULFILLMENT.workflow_id(order_id=order_id)
        )

    async def state(self, order_id: str) -> str:
        """The order's state in OMS."""
        order = await self.oms.order(order_id)
        assert order is not None
        return str(order.state)

    async def names(self, order_id: str) -> list[str]:
        """What was published about an order, in the order of the outbox."""
        return await self.database.names(subject=order_id)


@pytest_asyncio.fixture(loop_scope="session")
async def business(postgres_dsn: str, temporal_address: str) -> AsyncIterator[Business]:
    """Bolts and nuts in stock, and five workers."""
    async with (
        migrated(postgres_dsn, SERVICE_ROOMS) as database,
        new_namespace(temporal_address) as world,
        contextlib.AsyncExitStack() as workers,
    ):
        running = Business(database, world)
        await running.ims.load("load-1", [StockRow("bolt", 10, 0, ()), StockRow("nut", 10, 0, ())])
        await workers.enter_async_context(build_worker(world.client, "order-processing", strict=True))
        for queue in ("oms", "ims", "wms", "sms"):
            await workers.enter_async_context(
                build_worker(
                    world.client,
                    queue,
                    activities=running.activities(queue),
                    around_activities=[StampOrigin()],
                )
            )
        yield running


async def stock_of(business: Business, sku: str) -> tuple[int, int]:
    """On the shelf, and put aside."""
    (stock,) = [one for one in await business.ims.stock(sku) if one.sku == sku]
    return stock.on_hand, stock.reserved


async def test_an_order_goes_from_its_submission_to_its_shipment(business: Business, unique: str) -> None:
    """Every service ends where it should, and every fact is published once, in its source's order."""
    order_id, fulfillment = await business.submit(unique)
    await reached(fulfillment, "WAITING_FOR_PICK")
    await fulfillment.signal(PICK_COMPLETED.name, {"order_id": order_id})
    await fulfillment.signal(PACK_COMPLETED.name, {"order_id": order_id})
    assert await fulfillment.result() == "SHIPPED"
    assert await business.state(order_id) == "SHIPPED"
    assert await business.names(order_id) == [
        "OrderCreated",
        "InventoryAllocated",
        "OrderReserved",
        "PickWaveCreated",
        "InventoryConsumed",
        "ShipmentCreated",
        "LabelGenerated",
        "ShipmentConfirmed",
        "OrderShipped",
    ]
    assert await stock_of(business, "bolt") == (8, 0)
    published = await business.database.published(subject=order_id)
    assert {one.extensions["workflowid"] for one in published} == {
        f"order-intake-{unique}",
        f"order-fulfillment-{order_id}",
    }


@pytest.mark.parametrize("state", ["WAITING_FOR_PICK", "WAITING_FOR_PACK"])
async def test_a_cancelled_order_leaves_nothing_behind(business: Business, unique: str, state: str) -> None:
    """No reservation, no open wave or shipment, the stock where it was, one OrderCancelled."""
    order_id, fulfillment = await business.submit(unique)
    if state == "WAITING_FOR_PACK":
        await fulfillment.signal(PICK_COMPLETED.name, {"order_id": order_id})
    await reached(fulfillment, state)
    await business.oms.request_cancellation(order_id, "admin", "changed")
    await fulfillment.signal(
        CANCEL_ORDER.name, {"order_id": order_id, "requested_by": "admin", "reason": "changed"}
    )
    assert await fulfillment.result() == "CANCELLED"
    assert await business.state(order_id) == "CANCELLED"
    assert await stock_of(business, "bolt") == (10, 0)
    wave = await business.wms.wave(order_id)
    assert wave is not None
    assert str(wave.state) == "CANCELLED"
    names = await business.names(order_id)
    assert names.count("OrderCancelled") == 1
    assert ("InventoryReturned" if state == "WAITING_FOR_PACK" else "InventoryReleased") in names


async def test_an_order_that_waits_for_stock_is_served_when_it_comes(business: Business, unique: str) -> None:
    """The event that IMS publishes when stock comes is what the workflow is signalled with."""
    await business.ims.allocate("somebody-else", [("bolt", 9)])
    order_id, fulfillment = await business.submit(unique)
    await reached(fulfillment, "WAITING_FOR_STOCK")
    await business.ims.receive("receipt-1", "bolt", 5)
    published = await business.database.published(subject=order_id)
    allocated = next(one for one in published if one.name == "InventoryAllocated")
    assert allocated.extensions["waited"] == "true"
    await fulfillment.signal(INVENTORY_ALLOCATED.name, allocated.event.to_json())
    await reached(fulfillment, "WAITING_FOR_PICK")
    assert await business.state(order_id) == "RESERVED"
    await fulfillment.terminate()


async def test_an_unknown_item_fails_the_order(business: Business, unique: str) -> None:
    """IMS says so for good; OMS records it; the intake was fine."""
    request = asdict(submission(unique))
    request["lines"][0]["sku"] = "left-handed-bolt"
    await (await business.world.take_in(request, unique)).result()  # type: ignore[arg-type]
    order_id = order_id_of(unique)
    fulfillment = business.world.client.get_workflow_handle(ORDER_FULFILLMENT.workflow_id(order_id=order_id))
    assert await fulfillment.result() == "FAILED"
    assert await business.state(order_id) == "FAILED"
    assert await business.names(order_id) == ["OrderCreated", "AllocationFailed", "OrderFailed"]


async def test_an_invalid_order_is_rejected(business: Business, unique: str) -> None:
    """A negative quantity: the intake fails for good, and OrderRejected says why, once."""
    request = asdict(submission(unique))
    request["lines"][0]["quantity"] = -1
    with pytest.raises(WorkflowFailureError):
        await (await business.world.take_in(request, unique)).result()  # type: ignore[arg-type]
    assert await business.names(order_id_of(unique)) == ["OrderRejected"]
    assert await business.oms.order(order_id_of(unique)) is None


async def test_a_cancel_after_the_shipment_is_confirmed_is_refused(business: Business, unique: str) -> None:
    """The order ships and OMS has the answer to the request on record."""
    order_id, fulfillment = await business.submit(unique)
    await reached(fulfillment, "WAITING_FOR_PICK")
    await business.oms.request_cancellation(order_id, "admin", "changed")
    await fulfillment.signal(PICK_COMPLETED.name, {"order_id": order_id})
    await fulfillment.signal(PACK_COMPLETED.name, {"order_id": order_id})
    assert await fulfillment.result() == "SHIPPED"

    async def has_its_answer() -> bool:
        cancellation = await business.oms.cancellation(order_id)
        return cancellation is not None and str(cancellation.status) == "REFUSED"

    await until(has_its_answer)
