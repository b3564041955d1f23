"""The lives of a replenishment whose histories are kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy

from tests.waiting import until
from tests.workflow_support import World, signal_as_event
from workflows.activities.contracts.replenishment import (
    ORDER_REPLENISHMENT,
    RECEIVE_REPLENISHMENT,
    REMIND_SUPPLIER,
    ReplenishmentLot,
)
from workflows.contracts.replenishment import (
    GET_SNAPSHOT,
    REPLENISHMENT,
    REPLENISHMENT_RECEIVED,
    ReplenishmentSnapshot,
)

Handle = WorkflowHandle[Any, str]

FLOOD = 20
"""After how many signals the recorder's workers ask a run to end (``tests.replay.scenarios``)."""


async def begin(world: World, sku: str, *, lot: int = 12) -> Handle:
    """Start the replenishment of the first shortage of ``sku``, as the event says it."""
    if (sku, ORDER_REPLENISHMENT.name) not in world.contexts._answers:
        world.contexts.answer(sku, ORDER_REPLENISHMENT, lambda _: ReplenishmentLot(lot))
    event = {
        "sku": sku,
        "cycle": 1,
        "available": -2,
        "reorder_point": 5,
        "noticed_at": "2026-11-21T10:00:00Z",
    }
    return await world.client.start_workflow(
        REPLENISHMENT.name,
        event,
        id=f"replenishment-{sku}-1",
        task_queue=REPLENISHMENT.queue,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        result_type=str,
    )


async def deliver(
    world: World, handle: Handle, sku: str, *, cycle: int = 1, quantity: int = 12, event: str = "delivered"
) -> None:
    """Report a delivery, as the bridge does."""
    fact = {"sku": sku, "cycle": cycle, "quantity": quantity, "received_at": "2026-11-22T10:00:00Z"}
    event_id = f"{event}-{sku}"
    await signal_as_event(world.client, handle.id, REPLENISHMENT_RECEIVED.name, event_id, event_id, fact)


async def snapshot(handle: Handle) -> ReplenishmentSnapshot:
    """What ``getSnapshot`` answers."""
    answer: ReplenishmentSnapshot = await handle.query(GET_SNAPSHOT, result_type=ReplenishmentSnapshot)
    return answer


async def waiting(handle: Handle) -> None:
    """Return once it waits for the delivery."""

    async def is_waiting() -> bool:
        return (await snapshot(handle)).state == "WAITING_FOR_DELIVERY"

    await until(is_waiting, what=f"{handle.id} waits for the delivery")


async def received(world: World, sku: str) -> Handle:
    """Ordered, delivered, booked in; the report comes a second time under another event id."""
    handle = await begin(world, sku)
    await waiting(handle)
    await deliver(world, handle, sku)
    await deliver(world, handle, sku, quantity=99, event="again")
    return handle


async def received_after_reminders(world: World, sku: str) -> Handle:
    """Two days without a delivery: the supplier is reminded each day; one reminder fails for good."""
    handle = await begin(world, sku)
    await waiting(handle)
    await world.environment.sleep(timedelta(hours=49))
    await deliver(world, handle, sku)
    return handle


async def received_early(world: World, sku: str) -> Handle:
    """Reported before IMS has answered what it ordered."""
    world.contexts.answer(sku, ORDER_REPLENISHMENT, _refuse(3, ReplenishmentLot(12)))
    handle = await begin(world, sku)
    await deliver(world, handle, sku)
    return handle


async def received_after_retries(world: World, sku: str) -> Handle:
    """IMS away while the goods stand at the door."""
    world.contexts.answer(sku, RECEIVE_REPLENISHMENT, _refuse(3, None))
    handle = await begin(world, sku)
    await deliver(world, handle, sku)
    return handle


async def received_despite_unusable_signals(world: World, sku: str) -> Handle:
    """About another item, another cycle, no pieces, nothing at all."""
    handle = await begin(world, sku)
    await waiting(handle)
    await handle.signal(REPLENISHMENT_RECEIVED.name, args=[])
    await deliver(world, handle, "other", event="other")
    await deliver(world, handle, sku, cycle=2, event="cycle")
    await deliver(world, handle, sku, quantity=0, event="nothing")
    await deliver(world, handle, sku)
    return handle


async def not_needed(world: World, sku: str) -> Handle:
    """The shortage had passed."""
    return await begin(world, sku, lot=0)


async def unreadable(world: World, sku: str) -> Handle:
    """No shortage at all."""
    return await world.client.start_workflow(
        REPLENISHMENT.name,
        {"sku": sku},
        id=f"replenishment-{sku}-1",
        task_queue=REPLENISHMENT.queue,
        result_type=str,
    )


async def cancelled_in_temporal(world: World, sku: str) -> Handle:
    """Somebody ends the workflow while it waits."""
    handle = await begin(world, sku)
    await waiting(handle)
    await handle.cancel(reason="the supplier is bankrupt")
    return handle


async def continued_as_new(world: World, sku: str) -> Handle:
    """A flood of one report about another cycle; the second run receives what came."""
    handle = await begin(world, sku)
    await waiting(handle)
    first = (await handle.describe()).run_id
    for number in range(FLOOD):
        await deliver(world, handle, sku, cycle=7, event=f"flood-{number}")

    async def has_continued() -> bool:
        return (await handle.describe()).run_id != first

    await until(has_continued)
    await deliver(world, handle, sku)
    return handle


def _refuse(times: int, result: Any) -> Any:
    refusals = iter(range(times))

    def answer(_: Any) -> Any:
        if next(refusals, None) is not None:
            raise RuntimeError("not this time")
        return result

    return answer


REMINDED = REMIND_SUPPLIER.name

SCENARIOS = (
    received,
    received_after_reminders,
    received_early,
    received_after_retries,
    received_despite_unusable_signals,
    not_needed,
    unreadable,
    cancelled_in_temporal,
    continued_as_new,
)
"""What is recorded."""
