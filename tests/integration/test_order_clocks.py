"""The clocks of a paid order, on a server whose clock skips: payment, delivery, and what OMS does not record."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest_asyncio

from tests.order_support import BEFORE, PaidOrder, snapshot_of
from tests.skipping import SkippingServers
from tests.workflow_support import World, skipping_world
from workflows.activities.contracts import order as order_activities
from workflows.contracts.order import ORDER_RESERVED, PAYMENT_CAPTURED, SHIPMENT_DELIVERED
from workflows.policies import DELIVERY_CLOCK, PAYMENT_CLOCK


@pytest_asyncio.fixture(loop_scope="session")
async def clock(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped, for one test."""
    async with skipping_world(skipping_servers) as running:
        yield running


async def test_a_payment_that_is_never_reported_fails_the_order_after_24_hours(
    clock: World, unique: str
) -> None:
    """PaymentCaptured is lost for good: stock released, order FAILED, and what was taken is given back."""
    order = PaidOrder(clock, unique, silent=(PAYMENT_CAPTURED,))
    began = await clock.environment.get_current_time()
    handle = await order.begin()
    assert await handle.result() == "FAILED"
    assert await clock.environment.get_current_time() - began >= PAYMENT_CLOCK == timedelta(hours=24)
    failure = dict(clock.contexts.arguments[unique])["MarkOrderFailed"]
    assert (failure.code, failure.reason) == ("PAYMENT_TIMEOUT", "no PaymentCaptured within 24 hours")
    assert clock.contexts.effects(unique).count("ReleaseInventory") == 1
    assert order.captured == order.refunded > 0
    order.add_up()


async def test_a_reservation_that_is_never_reported_fails_the_order_unpaid(clock: World, unique: str) -> None:
    """OrderReserved is lost for good: the payment never begins, and the authorisation is voided."""
    order = PaidOrder(clock, unique, silent=(ORDER_RESERVED,))
    assert await (await order.begin()).result() == "FAILED"
    assert order.captured == 0
    assert "VoidAuthorization" in clock.contexts.effects(unique)
    order.add_up()


async def test_a_delivery_that_is_overdue_is_noted_and_still_waited_for(clock: World, unique: str) -> None:
    """After 30 days without ShipmentDelivered the order says so; when the carrier speaks at last, it is DELIVERED."""
    order = PaidOrder(clock, unique, silent=(SHIPMENT_DELIVERED,))
    handle = await order.begin()
    await clock.environment.sleep(DELIVERY_CLOCK - timedelta(hours=1))
    snapshot = await snapshot_of(handle)
    assert (snapshot.state, snapshot.delivery_overdue) == ("SHIPPED", False)
    await clock.environment.sleep(timedelta(hours=2))
    snapshot = await snapshot_of(handle)
    assert (snapshot.state, snapshot.delivery_overdue) == ("SHIPPED", True)
    assert timedelta(days=30) == DELIVERY_CLOCK
    await clock.environment.sleep(timedelta(days=40))
    await order.tell(handle, SHIPMENT_DELIVERED)
    assert await handle.result() == "DELIVERED"
    order.add_up()


async def test_an_order_that_is_paid_for_waits_for_oms_however_long_it_is_away(
    clock: World, unique: str
) -> None:
    """Three attempts are used up again and again (002): no paid order fails over a record, it asks again."""
    order = PaidOrder(clock, unique)
    order.faults["MarkOrderConfirmed"] = [BEFORE] * 30
    order.faults["MarkOrderDelivered"] = [BEFORE] * 30
    assert await (await order.begin()).result() == "DELIVERED"
    assert order.attempts(order_activities.MARK_ORDER_CONFIRMED) == 31
    assert order.attempts(order_activities.MARK_ORDER_DELIVERED) == 31
    order.add_up()
