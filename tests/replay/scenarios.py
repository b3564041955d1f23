"""The lives of a workflow whose histories are kept: every path that a released workflow may be on.

Recorded with ``python -m tests.replay.record``; replayed by ``test_workflow_replay.py`` on today's code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from temporalio.client import WorkflowHandle
from temporalio.exceptions import ApplicationError

from infra.ids import order_id_of
from tests.replay import checkouts, paid_orders, payments, reconciliations, replenishments, returns_and_carts
from tests.waiting import until
from tests.workflow_support import World, asked, illegal, reached, signal_as_event, submission
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import AllocationResult
from workflows.contracts.base import SignalContract
from workflows.contracts.orders import CANCEL_ORDER, INVENTORY_ALLOCATED, PACK_COMPLETED, PICK_COMPLETED

Handle = WorkflowHandle[Any, str]
Scenario = Callable[[World, str], Awaitable[Handle]]


async def _tell(
    world: World, handle: Handle, signal: SignalContract[Any], order_id: str, event: str = ""
) -> None:
    payload = {"order_id": order_id, "requested_by": "oms", "reason": "changed"}
    event_id = event or f"{signal.name}-of-{order_id}"
    await signal_as_event(
        world.client, handle.id, signal.name, event_id, f"{event_id}-{id(payload)}", payload
    )


def _refuse_for(world: World, order_id: str, activity: ActivityContract[Any, Any], times: int) -> None:
    refusals = iter(range(times))

    def answer(argument: Any) -> Any:
        if next(refusals, None) is not None:
            raise RuntimeError("not this time")
        return f"{activity.name}-of-{argument.order_id}" if activity.output is str else None

    world.contexts.answer(order_id, activity, answer)


# --- OrderFulfillmentWorkflow -------------------------------------------------------------------------


async def shipped(world: World, order_id: str) -> Handle:
    """Each report when it is waited for, and the pick a second time under its own event id."""
    handle = await world.fulfil(order_id)
    await reached(handle, "WAITING_FOR_PICK")
    await _tell(world, handle, PICK_COMPLETED, order_id)
    await reached(handle, "WAITING_FOR_PACK")
    await _tell(world, handle, PICK_COMPLETED, order_id)
    await _tell(world, handle, PACK_COMPLETED, order_id)
    return handle


async def shipped_with_early_and_repeated_reports(world: World, order_id: str) -> Handle:
    """Reports ahead of their step, in the wrong order, under the same and under other event ids."""
    handle = await world.fulfil(order_id)
    await _tell(world, handle, PACK_COMPLETED, order_id)
    await _tell(world, handle, PICK_COMPLETED, order_id)
    await _tell(world, handle, PICK_COMPLETED, order_id)
    await _tell(world, handle, PICK_COMPLETED, order_id, "the same fact again")
    return handle


async def shipped_after_waiting_for_stock(world: World, order_id: str) -> Handle:
    """A shortage, then the stock."""
    world.contexts.answer(order_id, contracts.ALLOCATE_INVENTORY, lambda _: AllocationResult("WAITING"))
    handle = await world.fulfil(order_id)
    await reached(handle, "WAITING_FOR_STOCK")
    await _tell(world, handle, INVENTORY_ALLOCATED, order_id)
    return await _report(world, handle, order_id)


async def shipped_after_retries(world: World, order_id: str) -> Handle:
    """WMS away, a label refused."""
    _refuse_for(world, order_id, contracts.CREATE_PICK_WAVE, 3)
    _refuse_for(world, order_id, contracts.GENERATE_SHIPPING_LABEL, 3)
    return await _report(world, await world.fulfil(order_id), order_id)


async def shipped_despite_unusable_signals(world: World, order_id: str) -> Handle:
    """Signals with nothing, too much, and about another order."""
    handle = await world.fulfil(order_id)
    await reached(handle, "WAITING_FOR_PICK")
    for arguments in ([], ["x", "y"], [{"order_id": "of-somebody-else"}], ["no object"]):
        await handle.signal(PICK_COMPLETED.name, args=arguments)
    return await _report(world, handle, order_id)


async def shipped_although_cancelled_late(world: World, order_id: str) -> Handle:
    """A cancellation while the order is marked shipped: refused."""
    gate = asyncio.Event()

    async def hold(_: object) -> None:
        await gate.wait()

    world.contexts.answer(order_id, contracts.MARK_ORDER_SHIPPED, hold)
    handle = await _report(world, await world.fulfil(order_id), order_id)
    await asked(world.contexts, order_id, contracts.MARK_ORDER_SHIPPED)
    await _tell(world, handle, CANCEL_ORDER, order_id)
    await asked(world.contexts, order_id, contracts.REFUSE_CANCELLATION)
    gate.set()
    return handle


async def failed_without_stock(world: World, order_id: str) -> Handle:
    """72 hours without stock."""
    world.contexts.answer(order_id, contracts.ALLOCATE_INVENTORY, lambda _: AllocationResult("WAITING"))
    return await world.fulfil(order_id)


async def failed_on_an_unknown_item(world: World, order_id: str) -> Handle:
    """Allocation fails for good."""
    failed = AllocationResult("FAILED", "unknown item")
    world.contexts.answer(order_id, contracts.ALLOCATE_INVENTORY, lambda _: failed)
    return await world.fulfil(order_id)


async def failed_without_pick(world: World, order_id: str) -> Handle:
    """24 hours without a pick."""
    return await world.fulfil(order_id)


async def failed_without_pack(world: World, order_id: str) -> Handle:
    """24 hours without a pack."""
    handle = await world.fulfil(order_id)
    await _tell(world, handle, PICK_COMPLETED, order_id)
    return handle


async def failed_without_label(world: World, order_id: str) -> Handle:
    """An hour of refused labels."""
    _refuse_for(world, order_id, contracts.GENERATE_SHIPPING_LABEL, 1_000)
    return await _report(world, await world.fulfil(order_id), order_id)


async def failed_on_an_illegal_step(world: World, order_id: str) -> Handle:
    """A service's state machine says no, and to a compensation too."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(order_id, contracts.CREATE_SHIPMENT, refuse)
    world.contexts.answer(order_id, contracts.CANCEL_PICK_WAVE, refuse)
    return await _report(world, await world.fulfil(order_id), order_id)


async def cancelled_during_allocation(world: World, order_id: str) -> Handle:
    """A cancellation that races with the activity in flight."""
    gate = asyncio.Event()

    async def hold(_: object) -> AllocationResult:
        await gate.wait()
        return AllocationResult("ALLOCATED")

    world.contexts.answer(order_id, contracts.ALLOCATE_INVENTORY, hold)
    handle = await world.fulfil(order_id)
    await asked(world.contexts, order_id, contracts.ALLOCATE_INVENTORY)
    await _tell(world, handle, CANCEL_ORDER, order_id)
    await reached(handle, "RUNNING")
    gate.set()
    return handle


async def cancelled_before_the_stock_was_consumed(world: World, order_id: str) -> Handle:
    """While it waits for its pick."""
    handle = await world.fulfil(order_id)
    await reached(handle, "WAITING_FOR_PICK")
    await _tell(world, handle, CANCEL_ORDER, order_id)
    return handle


async def cancelled_after_the_stock_was_consumed(world: World, order_id: str) -> Handle:
    """While it waits for its pack."""
    handle = await world.fulfil(order_id)
    await _tell(world, handle, PICK_COMPLETED, order_id)
    await reached(handle, "WAITING_FOR_PACK")
    await _tell(world, handle, CANCEL_ORDER, order_id)
    return handle


async def cancelled_while_a_label_was_retried(world: World, order_id: str) -> Handle:
    """The retries end, the shipment is cancelled."""
    _refuse_for(world, order_id, contracts.GENERATE_SHIPPING_LABEL, 1_000)
    handle = await _report(world, await world.fulfil(order_id), order_id)
    await asked(world.contexts, order_id, contracts.GENERATE_SHIPPING_LABEL)
    await _tell(world, handle, CANCEL_ORDER, order_id)
    return handle


async def cancelled_in_temporal(world: World, order_id: str) -> Handle:
    """The workflow itself is cancelled."""
    handle = await world.fulfil(order_id)
    await reached(handle, "WAITING_FOR_PICK")
    await handle.cancel(reason="wrong order")
    return handle


async def continued_as_new(world: World, order_id: str) -> Handle:
    """A flood of one event; the second run ships. The recorder keeps the history of every run."""
    handle = await world.fulfil(order_id)
    await reached(handle, "WAITING_FOR_PICK")
    first = (await handle.describe()).run_id
    for _ in range(FLOOD):
        await _tell(world, handle, PACK_COMPLETED, order_id)

    async def has_continued() -> bool:
        return (await handle.describe()).run_id != first

    await until(has_continued)
    await _tell(world, handle, PACK_COMPLETED, order_id)
    await _tell(world, handle, PICK_COMPLETED, order_id)
    return handle


async def _report(world: World, handle: Handle, order_id: str) -> Handle:
    await _tell(world, handle, PICK_COMPLETED, order_id)
    await _tell(world, handle, PACK_COMPLETED, order_id)
    return handle


# --- OrderIntakeWorkflow ------------------------------------------------------------------------------


async def taken_in(world: World, request_id: str) -> Handle:
    """Straight through."""
    return await world.take_in(submission(request_id), request_id)


async def taken_in_with_oms_away(world: World, request_id: str) -> Handle:
    """Every activity retried."""
    for activity in (contracts.VALIDATE_ORDER, contracts.EMIT_ORDER_EVENT):
        _refuse_for(world, order_id_of(request_id), activity, 3)
    return await world.take_in(submission(request_id), request_id)


async def taken_in_twice(world: World, request_id: str) -> Handle:
    """Its fulfillment had started before."""
    await world.fulfil(order_id_of(request_id))
    return await world.take_in(submission(request_id), request_id)


async def rejected(world: World, request_id: str) -> Handle:
    """Structurally invalid."""

    def invalid(_: object) -> None:
        raise ApplicationError("lines[0].quantity", type="InvalidOrderError", non_retryable=True)

    world.contexts.answer(order_id_of(request_id), contracts.VALIDATE_ORDER, invalid)
    return await world.take_in(submission(request_id), request_id)


async def unreadable(world: World, request_id: str) -> Handle:
    """No submission at all."""
    return await world.client.start_workflow(
        "OrderIntakeWorkflow",
        {"request_id": request_id},
        id=f"order-intake-{request_id}",
        task_queue="order-processing",
        result_type=str,
    )


async def cancelled_before_the_order_existed(world: World, request_id: str) -> Handle:
    """Cancelled in Temporal while it validates."""
    _refuse_for(world, order_id_of(request_id), contracts.VALIDATE_ORDER, 1_000)
    handle = await world.take_in(submission(request_id), request_id)
    await asked(world.contexts, order_id_of(request_id), contracts.VALIDATE_ORDER)
    await handle.cancel()
    return handle


async def cancelled_too_late(world: World, request_id: str) -> Handle:
    """Cancelled in Temporal while it creates the order: completes."""
    _refuse_for(world, order_id_of(request_id), contracts.EMIT_ORDER_EVENT, 3)
    handle = await world.take_in(submission(request_id), request_id)
    await asked(world.contexts, order_id_of(request_id), contracts.EMIT_ORDER_EVENT)
    await handle.cancel()
    return handle


FLOOD: Final = 20
"""After how many signals the recorder's workers ask a run to end."""

SCENARIOS: Final[dict[str, tuple[Scenario, ...]]] = {
    "OrderFulfillmentWorkflow": (
        shipped,
        shipped_with_early_and_repeated_reports,
        shipped_after_waiting_for_stock,
        shipped_after_retries,
        shipped_despite_unusable_signals,
        shipped_although_cancelled_late,
        failed_without_stock,
        failed_on_an_unknown_item,
        failed_without_pick,
        failed_without_pack,
        failed_without_label,
        failed_on_an_illegal_step,
        cancelled_during_allocation,
        cancelled_before_the_stock_was_consumed,
        cancelled_after_the_stock_was_consumed,
        cancelled_while_a_label_was_retried,
        cancelled_in_temporal,
        continued_as_new,
        *paid_orders.FULFILLMENTS,
    ),
    "OrderWorkflow": paid_orders.ORDERS,
    "OrderIntakeWorkflow": (
        taken_in,
        taken_in_with_oms_away,
        taken_in_twice,
        rejected,
        unreadable,
        cancelled_before_the_order_existed,
        cancelled_too_late,
    ),
    "CheckoutWorkflow": checkouts.SCENARIOS,
    "PaymentWorkflow": payments.SCENARIOS,
    "ReplenishmentWorkflow": replenishments.SCENARIOS,
    "ReconciliationWorkflow": reconciliations.RECONCILIATIONS,
    "CostWatchWorkflow": reconciliations.COST_WATCHES,
    "ReturnWorkflow": returns_and_carts.RETURNS,
    "CartWorkflow": returns_and_carts.CARTS,
}
"""What is recorded for each workflow."""
