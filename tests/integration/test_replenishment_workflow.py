"""ReplenishmentWorkflow: the lot, the wait for the supplier with its reminders, and what came."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import WorkflowAlreadyStartedError

from tests.replay import replenishments as lives
from tests.skipping import SkippingServers
from tests.workflow_support import World, illegal, real_world, skipping_world
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.replenishment import (
    ORDER_REPLENISHMENT,
    RECEIVE_REPLENISHMENT,
    REMIND_SUPPLIER,
    ReplenishmentLot,
    StockReceipt,
    SupplierReminder,
)
from workflows.worker import WorkerLimits


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address, WorkerLimits(signals_per_run=lives.FLOOD)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def clock(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped, for one test."""
    async with skipping_world(skipping_servers) as running:
        yield running


def asked(world: World, sku: str, activity: ActivityContract[Any, Any]) -> list[Any]:
    """What ``activity`` was asked for ``sku``, every attempt."""
    return [argument for name, argument in world.contexts.arguments[sku] if name == activity.name]


async def test_the_lot_is_ordered_and_what_came_is_booked_in(world: World, unique: str) -> None:
    """The first report counts, whatever a second one says; both ask IMS once."""
    handle = await lives.received(world, unique)
    assert await handle.result() == "RECEIVED"
    assert world.contexts.effects(unique) == ["OrderReplenishment", "ReceiveReplenishment"]
    assert asked(world, unique, RECEIVE_REPLENISHMENT) == [StockReceipt(unique, 1, 12)]
    assert (await lives.snapshot(handle)).ordered == 12
    with pytest.raises(WorkflowAlreadyStartedError):
        await lives.begin(world, unique)


async def test_a_shortage_that_has_passed_waits_for_nobody(world: World, unique: str) -> None:
    """IMS orders nothing: the workflow is at its end."""
    assert await (await lives.not_needed(world, unique)).result() == "NOT_NEEDED"
    assert world.contexts.effects(unique) == ["OrderReplenishment"]


@pytest.mark.parametrize("life", [lives.received_early, lives.received_after_retries])
async def test_each_step_is_tried_until_it_succeeds(world: World, unique: str, life: Any) -> None:
    """IMS away at either step, and a delivery that comes before the order is known here."""
    assert await (await life(world, unique)).result() == "RECEIVED"
    assert world.contexts.effects(unique) == ["OrderReplenishment", "ReceiveReplenishment"]


@pytest.mark.parametrize("step", [ORDER_REPLENISHMENT, RECEIVE_REPLENISHMENT], ids=lambda step: step.name)
async def test_a_step_that_had_its_effect_and_failed_is_asked_again(
    world: World, unique: str, step: ActivityContract[Any, Any]
) -> None:
    """Fail after the effect: the repeat asks for the same, and IMS is idempotent by sku and cycle."""
    attempts: list[Any] = []

    def fails_after_its_effect(argument: Any) -> Any:
        attempts.append(argument)
        if len(attempts) == 1:
            raise TimeoutError("the answer was lost")
        return ReplenishmentLot(12) if step is ORDER_REPLENISHMENT else None

    world.contexts.answer(unique, step, fails_after_its_effect)
    handle = await lives.begin(world, unique)
    await lives.deliver(world, handle, unique)
    assert await handle.result() == "RECEIVED"
    assert len(attempts) == 2
    assert attempts[0] == attempts[1]


async def test_what_is_refused_for_good_fails_the_workflow(world: World, unique: str) -> None:
    """An item that is unknown, a delivery that nobody ordered: a person has to look."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(unique, ORDER_REPLENISHMENT, refuse)
    with pytest.raises(WorkflowFailureError):
        await (await lives.begin(world, unique)).result()
    with pytest.raises(WorkflowFailureError):
        await (await lives.unreadable(world, f"{unique}-unreadable")).result()


async def test_signals_that_cannot_be_used_are_kept_in_sight(world: World, unique: str) -> None:
    """About another item or cycle, no pieces, nothing: noted, and the wait goes on."""
    handle = await lives.received_despite_unusable_signals(world, unique)
    assert await handle.result() == "RECEIVED"
    failures = (await lives.snapshot(handle)).signal_failures
    assert [failure.reason.split(":")[0] for failure in failures] == [
        "not a valid DeliveryOfStock",
        "about another sku",
        "about another cycle",
        "0 pieces were delivered",
    ]
    assert asked(world, unique, RECEIVE_REPLENISHMENT) == [StockReceipt(unique, 1, 12)]


async def test_a_flood_of_signals_continues_as_new_and_orders_nothing_again(
    world: World, unique: str
) -> None:
    """The second run knows the lot and since when it waits."""
    handle = await lives.continued_as_new(world, unique)
    assert await handle.result() == "RECEIVED"
    assert world.contexts.effects(unique) == ["OrderReplenishment", "ReceiveReplenishment"]


async def test_the_supplier_is_reminded_every_24_hours(clock: World, unique: str) -> None:
    """Numbered from 1, as long as it takes; a reminder that fails for good holds nothing up."""

    def second_fails(reminder: SupplierReminder) -> None:
        if reminder.number == 2:
            raise illegal()

    clock.contexts.answer(unique, REMIND_SUPPLIER, second_fails)
    handle = await lives.begin(clock, unique)
    await lives.waiting(handle)
    await clock.environment.sleep(timedelta(hours=23))
    assert asked(clock, unique, REMIND_SUPPLIER) == []
    await clock.environment.sleep(timedelta(hours=3 * 24 + 2))
    numbers = [reminder.number for reminder in asked(clock, unique, REMIND_SUPPLIER)]
    assert numbers == [1, 2, 3, 4]
    assert (await lives.snapshot(handle)).blocking_reason == "waiting for ReplenishmentReceived"
    await lives.deliver(clock, handle, unique)
    assert await handle.result() == "RECEIVED"
