"""The lives of returns and carts whose histories are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowUpdateFailedError

from tests.return_support import (
    Handle,
    begin_return,
    buy,
    cart_handle,
    inspected,
    parcel_came,
    put,
    return_reached,
    snapshot_of,
    tell_return,
    update,
)
from tests.waiting import until
from tests.workflow_support import World, asked, illegal
from workflows.activities.contracts import cart as cart_contracts
from workflows.activities.contracts import returns as contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.payment import REFUND_PAYMENT
from workflows.activities.contracts.returns import PolicyVerdict, ReturnSettlement
from workflows.contracts.cart import REMOVE_ITEM, SET_ITEM, RemoveItem, SetItem
from workflows.contracts.returns import RETURN_INSPECTED, RETURN_RECEIVED

FLOOD = 20
"""After how many signals the recorder's workers ask a run to end (``tests.replay.scenarios``)."""


def _away(world: World, subject: str, contract: ActivityContract[Any, Any], times: int) -> None:
    tries = iter(range(times))
    usual = world.contexts.default(contract)

    def answer(argument: Any) -> Any:
        if next(tries, None) is not None:
            raise RuntimeError("not this time")
        return usual(argument) if usual else None

    world.contexts.answer(subject, contract, answer)


def _refuse(world: World, subject: str, contract: ActivityContract[Any, Any]) -> None:
    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(subject, contract, refuse)


# --- ReturnWorkflow -----------------------------------------------------------------------------------


async def completed(world: World, order_id: str) -> Handle:
    """Each report when it is waited for, and the parcel a second time under its own event id."""
    handle = await begin_return(world, order_id)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    await parcel_came(world, handle, order_id)
    await return_reached(handle, "WAITING_FOR_INSPECTION")
    await tell_return(world, handle, RETURN_RECEIVED, order_id, "again")
    await inspected(world, handle, order_id)
    return handle


async def completed_after_reminders(world: World, order_id: str) -> Handle:
    """Three weeks for the parcel, a week for its inspection, and a reminder that fails."""
    _away(world, order_id, contracts.SEND_RETURN_REMINDER, 1)
    handle = await begin_return(world, order_id)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    await world.environment.sleep(timedelta(days=22))
    await parcel_came(world, handle, order_id)
    await return_reached(handle, "WAITING_FOR_INSPECTION")
    await world.environment.sleep(timedelta(days=7))
    await inspected(world, handle, order_id)
    return handle


async def completed_with_early_reports(world: World, order_id: str) -> Handle:
    """Inspected before it was received, both before the label."""
    gate = asyncio.Event()

    async def hold(_: object) -> str:
        await gate.wait()
        return "label"

    world.contexts.answer(order_id, contracts.GENERATE_RETURN_LABEL, hold)
    handle = await begin_return(world, order_id)
    await asked(world.contexts, order_id, contracts.GENERATE_RETURN_LABEL)
    await inspected(world, handle, order_id)
    await parcel_came(world, handle, order_id)
    gate.set()
    return handle


async def completed_in_rounds_of_attempts(world: World, order_id: str) -> Handle:
    """Each service away for longer than its attempts."""
    for contract in (contracts.CHECK_RETURN_POLICY, contracts.ASSESS_RETURN, REFUND_PAYMENT):
        _away(world, order_id, contract, 9)
    return await _report(world, await begin_return(world, order_id), order_id)


async def completed_with_nothing_owed(world: World, order_id: str) -> Handle:
    """A direct order, and everything is scrap."""
    world.contexts.answer(order_id, contracts.ASSESS_RETURN, lambda _: ReturnSettlement("0.00", 2))
    return await _report(world, await begin_return(world, order_id), order_id)


async def completed_despite_unusable_signals(world: World, order_id: str) -> Handle:
    """With nothing, about another return, with an unknown disposition."""
    handle = await begin_return(world, order_id)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    await handle.signal(RETURN_RECEIVED.name, args=[])
    await handle.signal(RETURN_RECEIVED.name, {"return_id": "another", "order_id": order_id})
    odd = [{"sku": "bolt", "quantity": 1, "disposition": "eat"}]
    await tell_return(world, handle, RETURN_INSPECTED, order_id, "odd", lines=odd)
    return await _report(world, handle, order_id)


async def completed_although_cancelled(world: World, order_id: str) -> Handle:
    """Cancelled in Temporal when the parcel had come."""
    handle = await begin_return(world, order_id)
    await parcel_came(world, handle, order_id)
    await return_reached(handle, "WAITING_FOR_INSPECTION")
    await handle.cancel()
    await inspected(world, handle, order_id)
    return handle


async def rejected_by_the_policy(world: World, order_id: str) -> Handle:
    """The policy says no."""
    no = PolicyVerdict(accepted=False, reason="too late")
    world.contexts.answer(order_id, contracts.CHECK_RETURN_POLICY, lambda _: no)
    return await begin_return(world, order_id)


async def rejected_without_a_parcel(world: World, order_id: str) -> Handle:
    """30 days, four reminders, and a compensation that is tried again."""
    _away(world, order_id, contracts.CANCEL_RETURN_LABEL, 3)
    return await begin_return(world, order_id)


async def rejected_after_inspection(world: World, order_id: str) -> Handle:
    """Nothing can be accepted."""
    world.contexts.answer(order_id, contracts.ASSESS_RETURN, lambda _: ReturnSettlement("0.00", 0))
    return await _report(world, await begin_return(world, order_id), order_id)


async def cancelled_while_it_waited(world: World, order_id: str) -> Handle:
    """Cancelled in Temporal before the parcel came."""
    handle = await begin_return(world, order_id)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    await handle.cancel(reason="a mistake")
    return handle


async def refused_before_the_parcel(world: World, order_id: str) -> Handle:
    """A service's state machine says no to the approval."""
    _refuse(world, order_id, contracts.APPROVE_RETURN)
    return await begin_return(world, order_id)


async def refused_after_the_parcel(world: World, order_id: str) -> Handle:
    """The refund is refused for good; the goods are restocked."""
    _refuse(world, order_id, REFUND_PAYMENT)
    return await _report(world, await begin_return(world, order_id), order_id)


async def continued_while_it_waited(world: World, order_id: str) -> Handle:
    """A flood of signals; the second run completes. The recorder keeps the history of every run."""
    handle = await begin_return(world, order_id)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    first = (await handle.describe()).run_id
    for _ in range(FLOOD):
        await handle.signal(RETURN_RECEIVED.name, {"return_id": "another", "order_id": order_id})
    latest = world.client.get_workflow_handle(handle.id)

    async def has_continued() -> bool:
        return (await latest.describe()).run_id != first

    await until(has_continued)
    await return_reached(latest, "WAITING_FOR_PARCEL")
    assert (await snapshot_of(latest)).deadline
    await _report(world, handle, order_id)
    return handle


async def _report(world: World, handle: Handle, order_id: str) -> Handle:
    await parcel_came(world, handle, order_id)
    await inspected(world, handle, order_id)
    return handle


# --- CartWorkflow -------------------------------------------------------------------------------------


async def bought(world: World, cart_id: str) -> Handle:
    """Filled, changed, refused, bought; one update twice."""
    await put(world, cart_id, SetItem("bolt", 2, "1.50", "0.1"), update_id="first")
    handle = cart_handle(world, cart_id)
    await put(world, cart_id, SetItem("nut", 5, "0.20"))
    await put(world, cart_id, SetItem("bolt", 2, "1.50", "0.1"), update_id="first")
    await update(handle, REMOVE_ITEM, RemoveItem("nut"))
    with suppress(WorkflowUpdateFailedError):
        await update(handle, SET_ITEM, SetItem("nut", 0, "0.20"))
    await buy(handle)
    return handle


async def bought_after_new_runs(world: World, cart_id: str) -> Handle:
    """A new run after every second update. The recorder keeps the history of every run."""
    for number in range(5):
        await put(world, cart_id, SetItem("bolt", number + 1, "1.50"), updates_per_run=2)
    await buy(cart_handle(world, cart_id))
    return cart_handle(world, cart_id)


async def bought_at_the_second_attempt(world: World, cart_id: str) -> Handle:
    """OMS was away for all attempts of the first checkOut."""
    _away(world, cart_id, cart_contracts.HAND_OVER_CART, 3)
    await put(world, cart_id, SetItem("bolt", 2, "1.50"))
    handle = cart_handle(world, cart_id)
    first = asyncio.create_task(buy(handle))
    await asked(world.contexts, cart_id, cart_contracts.HAND_OVER_CART)
    await world.environment.sleep(timedelta(seconds=10))
    with suppress(WorkflowUpdateFailedError):
        await first
    await buy(handle)
    return handle


async def bought_after_a_refusal(world: World, cart_id: str) -> Handle:
    """Refused for good, changed, bought."""
    _refuse(world, cart_id, cart_contracts.HAND_OVER_CART)
    await put(world, cart_id, SetItem("bolt", 2, "1.50"))
    handle = cart_handle(world, cart_id)
    with suppress(WorkflowUpdateFailedError):
        await buy(handle)
    world.contexts.answer(cart_id, cart_contracts.HAND_OVER_CART, lambda one: f"checkout-of-{one.cart_id}")
    await put(world, cart_id, SetItem("bolt", 1, "1.50"))
    await buy(handle)
    return handle


async def abandoned(world: World, cart_id: str) -> Handle:
    """Touched once after six days, then left for seven."""
    await put(world, cart_id, SetItem("bolt", 2, "1.50"))
    await world.environment.sleep(timedelta(days=6))
    await put(world, cart_id, SetItem("nut", 1, "1"))
    await world.environment.sleep(timedelta(days=7, hours=1))
    return cart_handle(world, cart_id)


async def abandoned_with_oms_away(world: World, cart_id: str) -> Handle:
    """Longer than the attempts of one round."""
    _away(world, cart_id, cart_contracts.ABANDON_CART, 5)
    await put(world, cart_id, SetItem("bolt", 2, "1.50"))
    await world.environment.sleep(timedelta(days=7, hours=1))
    return cart_handle(world, cart_id)


Scenario = Callable[[World, str], Awaitable[Handle]]

RETURNS: tuple[Scenario, ...] = (
    completed,
    completed_after_reminders,
    completed_with_early_reports,
    completed_in_rounds_of_attempts,
    completed_with_nothing_owed,
    completed_despite_unusable_signals,
    completed_although_cancelled,
    rejected_by_the_policy,
    rejected_without_a_parcel,
    rejected_after_inspection,
    cancelled_while_it_waited,
    refused_before_the_parcel,
    refused_after_the_parcel,
    continued_while_it_waited,
)
CARTS: tuple[Scenario, ...] = (
    bought,
    bought_after_new_runs,
    bought_at_the_second_attempt,
    bought_after_a_refusal,
    abandoned,
    abandoned_with_oms_away,
)
