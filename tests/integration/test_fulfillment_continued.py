"""OrderFulfillmentWorkflow under a flood of signals: it continues as new and forgets nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio
from temporalio.client import WorkflowHandle

from tests.waiting import until
from tests.workflow_support import World, reached, real_world, signal_as_event, status_of
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.orders import AllocationResult
from workflows.contracts.base import SignalContract
from workflows.contracts.orders import CANCEL_ORDER, PACK_COMPLETED, PICK_COMPLETED
from workflows.worker import WorkerLimits

FLOOD = 12


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address, WorkerLimits(signals_per_run=FLOOD)) as running:
        yield running


async def runs_of(handle: WorkflowHandle[Any, Any]) -> int:
    """How many runs the fulfillment has had so far."""
    runs, run_id = 1, (await handle.describe()).run_id
    while True:
        history = await handle._client.get_workflow_handle(handle.id, run_id=run_id).fetch_history()
        run_id = history.events[0].workflow_execution_started_event_attributes.continued_execution_run_id
        if not run_id:
            return runs
        runs += 1


async def flood(
    world: World, handle: WorkflowHandle[Any, Any], signal: SignalContract[Any], order_id: str
) -> None:
    """The same event, delivered again and again, each time under another request id."""
    before = await runs_of(handle)
    for number in range(FLOOD):
        request_id = f"{signal.name}-{before}-{number}"
        await signal_as_event(
            world.client, handle.id, signal.name, f"event-{signal.name}", request_id, {"order_id": order_id}
        )

    async def has_continued() -> bool:
        return await runs_of(handle) > before

    await until(has_continued, what="the run was continued as new")


async def test_an_order_that_is_flooded_at_every_wait_ships_once(world: World, unique: str) -> None:
    """Facts, steps, saga and clock go along; no step that was done is done again."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    deadline = (await status_of(handle)).blocking_reason
    await flood(world, handle, PACK_COMPLETED, unique)
    await reached(handle, "WAITING_FOR_PICK")
    assert (await status_of(handle)).blocking_reason == deadline, "the clock of the wait goes on"
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    assert await handle.result() == "SHIPPED"
    assert world.contexts.effects(unique) == [
        "AllocateInventory",
        "MarkOrderReserved",
        "CreatePickWave",
        "ConsumeInventory",
        "CreateShipment",
        "GenerateShippingLabel",
        "ConfirmShipment",
        "MarkOrderShipped",
    ]


async def test_an_order_that_was_continued_still_knows_what_to_undo(world: World, unique: str) -> None:
    """Cancelled in its second run, it undoes what its first run did."""
    handle = await world.fulfil(unique)
    await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await reached(handle, "WAITING_FOR_PACK")
    await flood(world, handle, PICK_COMPLETED, unique)
    await reached(handle, "WAITING_FOR_PACK")
    await handle.signal(CANCEL_ORDER.name, {"order_id": unique, "requested_by": "oms"})
    assert await handle.result() == "CANCELLED"
    assert world.contexts.effects(unique)[4:] == ["CancelPickWave", "ReturnInventory", "MarkOrderCancelled"]


async def test_an_order_that_waits_for_stock_asks_again_in_its_next_run(world: World, unique: str) -> None:
    """AllocateInventory is idempotent: asked again, IMS says that the stock is there by now."""
    answers = iter([AllocationResult("WAITING"), AllocationResult("ALLOCATED")])
    world.contexts.answer(unique, contracts.ALLOCATE_INVENTORY, lambda _: next(answers))
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_STOCK")
    await flood(world, handle, PICK_COMPLETED, unique)
    await reached(handle, "WAITING_FOR_PACK")
    await handle.signal(PACK_COMPLETED.name, {"order_id": unique})
    assert await handle.result() == "SHIPPED"
