"""A fulfillment over the real services of all four contexts, with a fault at each step and each compensation.

An attempt fails before it has had its effect, fails after it, or has its effect and is never heard of again (a
timeout after success). Whatever happens: shipped once, or undone without a rest, each fact published once.

Attempts are made shorter here than they are (``tests/acceptance/test_seed_003.py`` holds the numbers).

Source: 003, "Cancellation & Compensation", "Every Activity is idempotent".
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHandle

from infra.ids import order_id_of
from infra.local import Component
from services.ims import Ims, StockRow
from services.oms import Oms, OrderLine
from services.sms import Sms
from services.wms import Wms
from tests.mishaps import AFTER, BEFORE, LATE, TIMEOUT, Mishaps, hurry
from tests.services_support import SERVICE_ROOMS, Database, PlainCarrier, migrated, submission
from tests.stack import SessionStack, fresh_database
from tests.waiting import until
from tests.workflow_support import World, new_namespace, reached
from tidegate.wiring.workflows import methods
from workflows.activities.contracts import orders as contracts
from workflows.activities.ims import ImsActivities
from workflows.activities.oms import OmsActivities
from workflows.activities.sms import SmsActivities
from workflows.activities.wms import WmsActivities
from workflows.contracts.orders import CANCEL_ORDER, PACK_COMPLETED, PICK_COMPLETED
from workflows.worker import WorkerLimits, build_worker

Handle = WorkflowHandle[Any, str]

LINES = (OrderLine("bolt", 3, Decimal("1.50")), OrderLine("nut", 1, Decimal("0.20"), Decimal("0.15")))

STEPS = (
    "AllocateInventory",
    "MarkOrderReserved",
    "CreatePickWave",
    "ConsumeInventory",
    "CreateShipment",
    "GenerateShippingLabel",
    "ConfirmShipment",
    "MarkOrderShipped",
)
CANCELLABLE = STEPS[: STEPS.index("ConfirmShipment")]

COMPENSATIONS = {
    "WAITING_FOR_PICK": ("CancelPickWave", "ReleaseInventory", "MarkOrderCancelled"),
    "LABEL": ("CancelShipment", "CancelPickWave", "ReturnInventory", "MarkOrderCancelled"),
}
"""What ends an order that is cancelled while it waits for its pick, and while it waits for its label."""


@dataclass(frozen=True, slots=True)
class House:
    """Workflows, the four contexts, and what goes wrong."""

    world: World
    database: Database
    oms: Oms
    ims: Ims
    wms: Wms
    sms: Sms
    mishaps: Mishaps

    async def begin(
        self, name: str, faults: Mapping[str, Sequence[str]], *, reported: bool = True
    ) -> tuple[str, Handle]:
        """The fulfillment of a new order that meets ``faults``; picked and packed ahead where ``reported``."""
        wanted, order_id = submission(name, lines=LINES), order_id_of(name)
        await self.oms.create_order(wanted)
        for activity, script in faults.items():
            self.mishaps.script[order_id, activity] = list(script)
        handle = await self.world.fulfil(order_id)
        if reported:
            for signal in (PICK_COMPLETED, PACK_COMPLETED):
                await handle.signal(signal.name, {"order_id": order_id})
        return order_id, handle

    async def met(self, order_id: str, activity: str) -> None:
        """Return once one of the faults that were planned for ``activity`` has struck."""
        struck = self.mishaps.struck
        await until(lambda: struck[order_id, activity] > 0, what=f"{activity} of {order_id} met its fault")

    async def assert_shipped(self, order_id: str) -> None:
        """Everything was done once, and said once."""
        order = await self.oms.order(order_id)
        assert order is not None
        assert str(order.state) == "SHIPPED", order_id
        assert await self._states(order_id) == ("CONSUMED", "CREATED", "CONFIRMED"), order_id
        assert Counter(await self._names(order_id)) == Counter(
            {
                *("InventoryAllocated", "OrderReserved", "PickWaveCreated", "InventoryConsumed"),
                *("ShipmentCreated", "LabelGenerated", "ShipmentConfirmed", "OrderShipped"),
            }
        ), order_id

    async def assert_undone(self, order_id: str) -> None:
        """Nothing is held, picked or sent; whatever was said was said once, and its opposite too."""
        order = await self.oms.order(order_id)
        assert order is not None
        assert str(order.state) == "CANCELLED", order_id
        reservation, wave, shipment = await self._states(order_id)
        assert reservation in (None, "RELEASED", "RETURNED"), (order_id, reservation)
        assert (wave, shipment) == (wave and "CANCELLED", shipment and "CANCELLED"), (
            order_id,
            wave,
            shipment,
        )
        names = Counter(await self._names(order_id))
        assert set(names.values()) == {1}, (order_id, names)
        for done, undone in (
            ("InventoryAllocated", {"InventoryReleased", "InventoryReturned"}),
            ("InventoryConsumed", {"InventoryReturned"}),
            ("PickWaveCreated", {"PickWaveCancelled"}),
            ("ShipmentCreated", {"ShipmentCancelled"}),
        ):
            assert done not in names or undone & set(names), (order_id, names)
        assert "OrderCancelled" in names, (order_id, names)

    async def on_the_shelf(self) -> dict[str, tuple[int, int]]:
        """Pieces on hand and reserved, by sku; the stock adds up."""
        items = await self.ims.stock()
        assert all(item.received == item.on_hand + item.reserved + item.consumed for item in items)
        return {item.sku: (item.on_hand, item.reserved) for item in items}

    async def _states(self, order_id: str) -> tuple[str | None, str | None, str | None]:
        found = (
            await self.ims.reservation(order_id),
            await self.wms.wave(order_id),
            await self.sms.shipment(order_id),
        )
        reservation, wave, shipment = (None if one is None else str(one.state) for one in found)
        return reservation, wave, shipment

    async def _names(self, order_id: str) -> list[str]:
        return await self.database.names(subject=order_id)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def house(servers: SessionStack, temporal_address: str) -> AsyncIterator[House]:
    """A house in which attempts are short, for all tests here: each keeps to orders of its own."""
    addresses = await servers.having(Component.POSTGRES)
    with pytest.MonkeyPatch.context() as patches:
        hurry(patches, contracts)
        async with (
            fresh_database(addresses.postgres_dsn or "") as dsn,
            _running(dsn, temporal_address) as running,
        ):
            yield running


@contextlib.asynccontextmanager
async def _running(dsn: str, temporal_address: str) -> AsyncIterator[House]:
    async with (
        migrated(dsn, SERVICE_ROOMS) as database,
        new_namespace(temporal_address) as world,
        contextlib.AsyncExitStack() as workers,
    ):
        parts, mishaps = (database.sessions, database.outbox), Mishaps()
        orders, stock, waves, shipments = Oms(*parts), Ims(*parts), Wms(*parts), Sms(*parts, PlainCarrier())
        await stock.load("first", [StockRow("bolt", 10_000), StockRow("nut", 10_000)])
        await workers.enter_async_context(build_worker(world.client, "order-processing", strict=True))
        for queue, implementation in {
            "oms": OmsActivities(orders),
            "ims": ImsActivities(stock, orders),
            "wms": WmsActivities(waves, stock),
            "sms": SmsActivities(shipments),
        }.items():
            worker = build_worker(
                world.client,
                queue,
                activities=methods(implementation),
                around_activities=[mishaps],
                limits=WorkerLimits(activities=100),
            )
            await workers.enter_async_context(worker)
        yield House(world, database, orders, stock, waves, shipments, mishaps)
        mishaps.released.set()


async def cancel(handle: Handle, order_id: str) -> None:
    """Cancel as OMS does."""
    await handle.signal(CANCEL_ORDER.name, {"order_id": order_id, "requested_by": "oms", "reason": "changed"})


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_fault_at_any_step_is_outlived(house: House, unique: str, mishap: str) -> None:
    """Each step fails twice, this way: the order ships, and nothing was done twice."""
    before = await house.on_the_shelf()
    begun = [await house.begin(f"{unique}-{step}", {step: [mishap] * 2}) for step in STEPS]
    for order_id, handle in begun:
        assert await handle.result() == "SHIPPED"
        await house.assert_shipped(order_id)
    after = await house.on_the_shelf()
    for line in LINES:
        on_hand, reserved = before[line.sku]
        assert after[line.sku] == (on_hand - line.quantity * len(begun), reserved)


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_an_order_cancelled_while_a_step_fails_is_undone(
    house: House, unique: str, mishap: str
) -> None:
    """Each step fails this way when the order is cancelled: whatever it has done by then is undone, once."""
    before = await house.on_the_shelf()
    begun = [(step, *await house.begin(f"{unique}-{step}", {step: [mishap] * 2})) for step in CANCELLABLE]
    for step, order_id, handle in begun:
        await house.met(order_id, step)
        await cancel(handle, order_id)
    for _, order_id, handle in begun:
        assert await handle.result() == "CANCELLED"
        await house.assert_undone(order_id)
    assert await house.on_the_shelf() == before


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_compensation_that_fails_is_tried_until_it_has_succeeded(
    house: House, unique: str, mishap: str
) -> None:
    """Each compensation, and all of them, fail twice this way: nothing is left behind, nothing undone twice."""
    before = await house.on_the_shelf()
    begun = []
    for stage, compensations in COMPENSATIONS.items():
        reported = stage == "LABEL"
        held = {"GenerateShippingLabel": [BEFORE] * 10_000} if reported else {}
        cases = {step: {step: [mishap] * 2} for step in compensations}
        cases["all"] = {step: [mishap] * 2 for step in compensations}
        for name, case in cases.items():
            order = await house.begin(f"{unique}-{stage}-{name}", {**held, **case}, reported=reported)
            begun.append((stage, *order))
    for stage, order_id, handle in begun:
        if stage == "LABEL":
            await house.met(order_id, "GenerateShippingLabel")
        else:
            await reached(handle, stage)
        await cancel(handle, order_id)
    for _, order_id, handle in begun:
        assert await handle.result() == "CANCELLED"
        await house.assert_undone(order_id)
    assert await house.on_the_shelf() == before


async def test_an_attempt_that_outlives_the_order_has_no_effect(house: House, unique: str) -> None:
    """The first attempt of each step stands still until the order is cancelled, and goes on then: nothing is held."""
    before = await house.on_the_shelf()
    begun = [(step, *await house.begin(f"{unique}-{step}", {step: [LATE]})) for step in CANCELLABLE]
    for step, order_id, handle in begun:
        await house.met(order_id, step)
        await cancel(handle, order_id)
    for _, _, handle in begun:
        assert await handle.result() == "CANCELLED"
    house.mishaps.released.set()
    await until(
        lambda: all(house.mishaps.late[order_id, step] == 1 for step, order_id, _ in begun),
        what="the late attempts have ended",
    )
    house.mishaps.released.clear()
    for _, order_id, _ in begun:
        await house.assert_undone(order_id)
    assert await house.on_the_shelf() == before
