"""OrderFulfillmentWorkflow: the way through, and its clocks, on a server whose time can be skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowHandle

from tests.skipping import SkippingServers
from tests.workflow_support import World, asked, illegal, reached, real_world, skipping_world, status_of
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import AllocationResult, OrderFailure
from workflows.contracts.orders import (
    GET_BLOCKING_REASON,
    GET_CURRENT_STEP,
    INVENTORY_ALLOCATED,
    PACK_COMPLETED,
    PICK_COMPLETED,
)

HAPPY_PATH = [
    "AllocateInventory",
    "MarkOrderReserved",
    "CreatePickWave",
    "ConsumeInventory",
    "CreateShipment",
    "GenerateShippingLabel",
    "ConfirmShipment",
    "MarkOrderShipped",
]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def clock(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped, for one test."""
    async with skipping_world(skipping_servers) as running:
        yield running


async def test_an_order_ships_once_it_is_picked_and_packed(world: World, unique: str) -> None:
    """The ten steps happen once each, in the order of seed 003, and the queries say where it stands."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    assert await handle.query(GET_CURRENT_STEP) == "Wait for Pick Completion"
    assert "waiting for PickCompleted until" in await handle.query(GET_BLOCKING_REASON)
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique, "picked_at": "2026-11-21T10:00:00Z"})
    await reached(handle, "WAITING_FOR_PACK")
    assert await handle.query(GET_CURRENT_STEP) == "Pack Order"
    await handle.signal(PACK_COMPLETED.name, {"order_id": unique, "a_field_of_tomorrow": 1})
    assert await handle.result() == "SHIPPED"
    assert world.contexts.effects(unique) == HAPPY_PATH
    assert (await status_of(handle)).state == "SHIPPED"
    assert await handle.query(GET_CURRENT_STEP) == "Mark Order Shipped"
    assert await handle.query(GET_BLOCKING_REASON) is None


async def test_reports_that_come_early_and_twice_change_nothing(world: World, unique: str) -> None:
    """Pick and pack reported before the stock is allocated, and reported again, ship the order once."""
    handle = await world.fulfil(unique)
    for signal in (PACK_COMPLETED, PICK_COMPLETED, PICK_COMPLETED, PACK_COMPLETED):
        await handle.signal(signal.name, {"order_id": unique})
    assert await handle.result() == "SHIPPED"
    assert world.contexts.effects(unique) == HAPPY_PATH


async def test_an_order_without_stock_waits_for_it(world: World, unique: str) -> None:
    """A shortage is not a failure: the order says what it waits for, and goes on when IMS has allocated."""
    world.contexts.answer(unique, contracts.ALLOCATE_INVENTORY, lambda _: AllocationResult("WAITING"))
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_STOCK")
    assert "waiting for InventoryAllocated until" in await handle.query(GET_BLOCKING_REASON)
    await handle.signal(INVENTORY_ALLOCATED.name, {"order_id": unique})
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await handle.signal(PACK_COMPLETED.name, {"order_id": unique})
    assert await handle.result() == "SHIPPED"
    assert world.contexts.effects(unique) == HAPPY_PATH


async def test_stock_that_never_comes_fails_the_order_after_72_hours(clock: World, unique: str) -> None:
    """The place in the queue for stock is given back, and the order fails with the stock's own code."""
    clock.contexts.answer(unique, contracts.ALLOCATE_INVENTORY, lambda _: AllocationResult("WAITING"))
    handle = await clock.fulfil(unique)
    assert await handle.result() == "FAILED"
    assert await hours_of(handle) == pytest.approx(72, abs=0.5)
    assert clock.contexts.effects(unique) == ["AllocateInventory", "ReleaseInventory", "MarkOrderFailed"]
    assert failure_of(clock, unique).code == "STOCK_TIMEOUT"


async def test_a_pick_that_never_completes_releases_the_stock_after_24_hours(
    clock: World, unique: str
) -> None:
    """The wave is cancelled, the stock released, the order failed, in that order."""
    handle = await clock.fulfil(unique)
    assert await handle.result() == "FAILED"
    assert await hours_of(handle) == pytest.approx(24, abs=0.5)
    assert clock.contexts.effects(unique)[3:] == ["CancelPickWave", "ReleaseInventory", "MarkOrderFailed"]
    assert failure_of(clock, unique).code == "PICK_TIMEOUT"


async def test_a_pack_that_never_completes_returns_the_stock_after_24_hours(
    clock: World, unique: str
) -> None:
    """What was consumed goes back on the shelf; it is not released, since it is no longer reserved."""
    handle = await clock.fulfil(unique)
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await reached(handle, "WAITING_FOR_PACK")
    assert await handle.result() == "FAILED"
    assert await hours_of(handle) == pytest.approx(24, abs=0.5)
    assert clock.contexts.effects(unique)[4:] == ["CancelPickWave", "ReturnInventory", "MarkOrderFailed"]
    assert failure_of(clock, unique).code == "PACK_TIMEOUT"


async def test_a_label_is_retried_for_an_hour_and_then_the_order_fails(clock: World, unique: str) -> None:
    """Shipment fails: retry the label, or fail the order; its stock returns and its shipment is cancelled."""
    clock.contexts.answer(unique, contracts.GENERATE_SHIPPING_LABEL, _refuse)
    handle = await clock.fulfil(unique)
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await handle.signal(PACK_COMPLETED.name, {"order_id": unique})
    assert await handle.result() == "FAILED"
    assert await hours_of(handle) == pytest.approx(1, abs=0.1)
    assert clock.contexts.effects(unique)[5:] == [
        "CancelShipment",
        "CancelPickWave",
        "ReturnInventory",
        "MarkOrderFailed",
    ]
    attempts = [name for name, _ in clock.contexts.arguments[unique]].count("GenerateShippingLabel")
    assert attempts > 50, "1 s, 2 s, 4 s … and then every minute of an hour"
    assert failure_of(clock, unique).code == "LABEL_FAILED"


async def test_a_label_that_fails_a_few_times_is_had_in_the_end(world: World, unique: str) -> None:
    """A carrier that refuses three times costs seconds, not the order."""
    refusals = iter(range(3))

    def refuse_thrice(_: object) -> str:
        if next(refusals, None) is not None:
            raise RuntimeError("no label this time")
        return "label-4"

    world.contexts.answer(unique, contracts.GENERATE_SHIPPING_LABEL, refuse_thrice)
    handle = await world.fulfil(unique)
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await handle.signal(PACK_COMPLETED.name, {"order_id": unique})
    assert await handle.result() == "SHIPPED"
    assert world.contexts.effects(unique) == HAPPY_PATH


async def test_an_item_that_nobody_sells_fails_the_order_at_once(world: World, unique: str) -> None:
    """Allocation that fails for good marks the order FAILED; there is nothing to release."""
    answer = AllocationResult("FAILED", "unknown item left-handed-bolt")
    world.contexts.answer(unique, contracts.ALLOCATE_INVENTORY, lambda _: answer)
    handle = await world.fulfil(unique)
    assert await handle.result() == "FAILED"
    assert world.contexts.effects(unique) == ["AllocateInventory", "MarkOrderFailed"]
    assert failure_of(world, unique) == OrderFailure(
        unique, "ALLOCATION_FAILED", "unknown item left-handed-bolt"
    )


async def test_a_service_that_is_away_for_hours_is_waited_for(clock: World, unique: str) -> None:
    """Activities are retried without limit: WMS gone for hours delays the order and fails nothing."""
    back = (await clock.environment.get_current_time()) + timedelta(hours=5)

    async def away_until_then(order: contracts.OrderReference) -> str:
        if await clock.environment.get_current_time() < back:
            raise ConnectionError("WMS is down")
        return f"wave-of-{order.order_id}"

    clock.contexts.answer(unique, contracts.CREATE_PICK_WAVE, away_until_then)
    handle = await clock.fulfil(unique)
    await asked(clock.contexts, unique, contracts.CREATE_PICK_WAVE)
    assert await handle.query(GET_BLOCKING_REASON) == "CreatePickWave has not succeeded yet (task queue wms)"
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await handle.signal(PACK_COMPLETED.name, {"order_id": unique})
    assert await handle.result() == "SHIPPED"
    assert clock.contexts.effects(unique) == HAPPY_PATH


@pytest.mark.parametrize(
    ("step", "undone"),
    [
        (contracts.ALLOCATE_INVENTORY, ["ReleaseInventory"]),
        (contracts.MARK_ORDER_RESERVED, ["ReleaseInventory"]),
        (contracts.CREATE_PICK_WAVE, ["CancelPickWave", "ReleaseInventory"]),
        (contracts.CONSUME_INVENTORY, ["CancelPickWave", "ReleaseInventory"]),
        (contracts.CREATE_SHIPMENT, ["CancelShipment", "CancelPickWave", "ReturnInventory"]),
        (contracts.GENERATE_SHIPPING_LABEL, ["CancelShipment", "CancelPickWave", "ReturnInventory"]),
        (contracts.CONFIRM_SHIPMENT, ["CancelShipment", "CancelPickWave", "ReturnInventory"]),
    ],
    ids=lambda value: value.name if hasattr(value, "name") else "",
)
async def test_a_step_that_is_illegal_is_not_retried_and_undoes_what_was_done(
    world: World, unique: str, step: ActivityContract[object, object], undone: list[str]
) -> None:
    """An illegal transition is tried once; what came before is undone, last first; the order fails."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(unique, step, refuse)
    handle = await world.fulfil(unique)
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await handle.signal(PACK_COMPLETED.name, {"order_id": unique})
    assert await handle.result() == "FAILED"
    done = HAPPY_PATH[: HAPPY_PATH.index(step.name)]
    assert world.contexts.effects(unique) == [*done, *undone, "MarkOrderFailed"]
    assert [name for name, _ in world.contexts.arguments[unique]].count(step.name) == 1


async def hours_of(handle: WorkflowHandle[Any, Any]) -> float:
    """How long the workflow took by the server's clock, in hours."""
    description = await handle.describe()
    assert description.close_time is not None
    return (description.close_time - description.start_time) / timedelta(hours=1)


def failure_of(world: World, order_id: str) -> OrderFailure:
    """What OMS was told about the failure."""
    failures = [
        argument for name, argument in world.contexts.arguments[order_id] if name == "MarkOrderFailed"
    ]
    assert len(failures) == 1
    failure = failures[0]
    assert isinstance(failure, OrderFailure)
    return failure


def _refuse(_: object) -> None:
    raise RuntimeError("no label this time")
