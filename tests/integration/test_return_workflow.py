"""The workflow of a return, with the clock skipped: its steps, clocks, reminders, retries and compensations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from infra.ids import derived_id
from tests.return_support import (
    Handle,
    begin_return,
    inspected,
    parcel_came,
    return_reached,
    snapshot_of,
    tell_return,
)
from tests.skipping import SkippingServers
from tests.waiting import until
from tests.workflow_support import World, asked, illegal, real_world, skipping_world
from workflows.activities.contracts import returns as contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.payment import REFUND_PAYMENT
from workflows.activities.contracts.returns import PolicyVerdict, ReturnSettlement
from workflows.contracts.returns import RETURN_INSPECTED, RETURN_RECEIVED
from workflows.worker import WorkerLimits

FORWARD = (
    contracts.CHECK_RETURN_POLICY,
    contracts.GENERATE_RETURN_LABEL,
    contracts.APPROVE_RETURN,
    contracts.ASSESS_RETURN,
    REFUND_PAYMENT,
    contracts.RESTOCK_RETURN,
    contracts.COMPLETE_RETURN,
)
STEPS = [contract.name for contract in FORWARD]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped. Every test closes what it opens: an open workflow
    would hold the clock of the next.
    """
    async with skipping_world(skipping_servers, WorkerLimits(signals_per_run=20)) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def real(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server, for what the one with the skipped clock does not do: it forgets an
    activity whose cancellation was asked for while an attempt was under way.
    """
    async with real_world(temporal_address) as running:
        yield running


@pytest.fixture
def order(unique: str) -> str:
    """The order that something comes back from."""
    return unique


async def _report(world: World, handle: Handle, order_id: str) -> None:
    await parcel_came(world, handle, order_id)
    await inspected(world, handle, order_id)


def _arguments(world: World, order_id: str, contract: ActivityContract[Any, Any]) -> list[Any]:
    return [argument for name, argument in world.contexts.arguments[order_id] if name == contract.name]


async def test_a_return_goes_through_its_steps(world: World, order: str) -> None:
    """Policy, label, approval, parcel, inspection, refund, restock, completion: each once, in this order."""
    handle = await begin_return(world, order)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    waiting = await snapshot_of(handle)
    assert waiting.deadline is not None
    assert waiting.blocking_reason == f"waiting for ReturnReceived until {waiting.deadline}"
    await parcel_came(world, handle, order)
    await return_reached(handle, "WAITING_FOR_INSPECTION")
    await inspected(world, handle, order)
    assert await handle.result() == "COMPLETED"
    assert world.contexts.effects(order) == STEPS
    (refund,) = _arguments(world, order, REFUND_PAYMENT)
    assert refund.refund_id == str(derived_id("refund", f"return-of-{order}"))
    assert refund.amount == "3.00"
    (completed,) = _arguments(world, order, contracts.COMPLETE_RETURN)
    assert completed.refunded == "3.00"
    assert (await snapshot_of(handle)).refunded == "3.00"


async def test_reports_count_once_and_in_any_order(world: World, order: str) -> None:
    """Inspected before received, before the label, twice under one event and again under another: one refund."""
    gate = asyncio.Event()

    async def hold(_: object) -> str:
        await gate.wait()
        return "label"

    world.contexts.answer(order, contracts.GENERATE_RETURN_LABEL, hold)
    handle = await begin_return(world, order)
    await asked(world.contexts, order, contracts.GENERATE_RETURN_LABEL)
    await inspected(world, handle, order)
    await inspected(world, handle, order)
    await tell_return(world, handle, RETURN_INSPECTED, order, "renamed", lines=[])
    await parcel_came(world, handle, order)
    gate.set()
    assert await handle.result() == "COMPLETED"
    assert world.contexts.effects(order) == STEPS
    (found,) = _arguments(world, order, contracts.ASSESS_RETURN)
    assert [line.quantity for line in found.lines] == [2], "the first inspection counts"


async def test_the_policy_says_no(world: World, order: str) -> None:
    """The return is rejected with the policy's own reason; no label is made."""
    world.contexts.answer(order, contracts.CHECK_RETURN_POLICY, lambda _: PolicyVerdict(False, "too late"))
    handle = await begin_return(world, order)
    assert await handle.result() == "REJECTED"
    assert world.contexts.effects(order) == ["CheckReturnPolicy", "RejectReturn"]
    (rejection,) = _arguments(world, order, contracts.REJECT_RETURN)
    assert (rejection.code, rejection.reason) == ("POLICY", "too late")


async def test_a_parcel_that_never_comes(world: World, order: str) -> None:
    """A reminder every 7 days, four of them; after 30 days NOT_RECEIVED, and the label is called off."""
    began = await world.environment.get_current_time()
    handle = await begin_return(world, order)
    assert await handle.result() == "REJECTED"
    assert await world.environment.get_current_time() - began >= timedelta(days=30)
    reminders = _arguments(world, order, contracts.SEND_RETURN_REMINDER)
    assert [(one.about, one.number) for one in reminders] == [("PARCEL", number) for number in (1, 2, 3, 4)]
    assert world.contexts.effects(order)[-2:] == ["CancelReturnLabel", "RejectReturn"]
    (rejection,) = _arguments(world, order, contracts.REJECT_RETURN)
    assert (rejection.code, rejection.reason) == ("NOT_RECEIVED", "no ReturnReceived within 30 days")


async def test_a_parcel_that_comes_late_but_in_time(world: World, order: str) -> None:
    """On the 29th day the parcel is taken, after four reminders, and none comes after it."""
    handle = await begin_return(world, order)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    await world.environment.sleep(timedelta(days=29))
    await _report(world, handle, order)
    assert await handle.result() == "COMPLETED"
    assert len(_arguments(world, order, contracts.SEND_RETURN_REMINDER)) == 4


async def test_nobody_inspects_the_parcel(world: World, order: str) -> None:
    """After 72 h the warehouse is reminded and the return is overdue; it waits on, and is refunded in the end."""
    handle = await begin_return(world, order)
    await parcel_came(world, handle, order)
    await return_reached(handle, "WAITING_FOR_INSPECTION")
    assert not (await snapshot_of(handle)).inspection_overdue
    await world.environment.sleep(timedelta(hours=73))
    await asked(world.contexts, order, contracts.SEND_RETURN_REMINDER)
    overdue = await snapshot_of(handle)
    assert overdue.inspection_overdue
    assert overdue.state == "WAITING_FOR_INSPECTION"
    await world.environment.sleep(timedelta(days=40))
    await asked(world.contexts, order, contracts.SEND_RETURN_REMINDER, 10)
    await inspected(world, handle, order)
    assert await handle.result() == "COMPLETED"
    reminders = _arguments(world, order, contracts.SEND_RETURN_REMINDER)
    assert {one.about for one in reminders} == {"INSPECTION"}
    assert [one.number for one in reminders] == list(range(1, len(reminders) + 1))


async def test_a_reminder_that_fails_delays_nothing(world: World, order: str) -> None:
    """The reminder's service is away for weeks: the clock runs, and the parcel is taken when it comes."""

    def away(_: object) -> None:
        raise RuntimeError("away")

    world.contexts.answer(order, contracts.SEND_RETURN_REMINDER, away)
    handle = await begin_return(world, order)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    await world.environment.sleep(timedelta(days=15))
    await _report(world, handle, order)
    assert await handle.result() == "COMPLETED"


async def test_nothing_can_be_accepted(world: World, order: str) -> None:
    """The warehouse rejects everything: no refund, nothing on the shelf, NOT_ACCEPTED."""
    world.contexts.answer(order, contracts.ASSESS_RETURN, lambda _: ReturnSettlement("0.00", 0))
    handle = await begin_return(world, order)
    await _report(world, handle, order)
    assert await handle.result() == "REJECTED"
    assert world.contexts.effects(order)[-2:] == ["AssessReturn", "RejectReturn"]
    (rejection,) = _arguments(world, order, contracts.REJECT_RETURN)
    assert rejection.code == "NOT_ACCEPTED"


async def test_an_order_that_was_not_paid_here(world: World, order: str) -> None:
    """Nothing is owed: payments are not asked, the goods go back on the shelf, 0.00 is refunded."""
    settled = ReturnSettlement("0.00", 2, (contracts.ReturnedPieces("bolt", 2),))
    world.contexts.answer(order, contracts.ASSESS_RETURN, lambda _: settled)
    handle = await begin_return(world, order)
    await _report(world, handle, order)
    assert await handle.result() == "COMPLETED"
    assert world.contexts.effects(order) == [step for step in STEPS if step != "RefundPayment"]
    (completed,) = _arguments(world, order, contracts.COMPLETE_RETURN)
    assert completed.refunded == "0.00"


async def test_everything_is_scrap(world: World, order: str) -> None:
    """What is unfit is refunded and not put on the shelf."""
    world.contexts.answer(order, contracts.ASSESS_RETURN, lambda _: ReturnSettlement("3.00", 2))
    handle = await begin_return(world, order)
    await _report(world, handle, order)
    assert await handle.result() == "COMPLETED"
    assert world.contexts.effects(order) == [step for step in STEPS if step != "RestockReturn"]


@pytest.mark.parametrize("contract", FORWARD, ids=STEPS)
async def test_a_service_that_is_away_is_waited_for(
    world: World, order: str, contract: ActivityContract[Any, Any]
) -> None:
    """Longer than seven attempts: the return says what it waits for, and goes on when the service is back."""
    tries = 0
    usual = world.contexts.default(contract)

    def away(argument: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries <= 16:
            raise RuntimeError("away")
        return usual(argument) if usual else None

    world.contexts.answer(order, contract, away)
    handle = await begin_return(world, order)
    await _report(world, handle, order)
    assert await handle.result() == "COMPLETED"
    assert world.contexts.effects(order) == STEPS


async def test_what_is_asked_for_again_is_said(world: World, order: str) -> None:
    """Between two rounds of attempts getSnapshot names the activity, its queue, and when it is tried again."""

    def away(_: object) -> None:
        raise RuntimeError("away")

    world.contexts.answer(order, contracts.CHECK_RETURN_POLICY, away)
    handle = await begin_return(world, order)
    await world.environment.sleep(timedelta(seconds=45))
    reason = (await snapshot_of(handle)).blocking_reason or ""
    assert reason.startswith("CheckReturnPolicy has used up its attempts (task queue oms): tried again at")
    assert len(_arguments(world, order, contracts.CHECK_RETURN_POLICY)) == 7
    await handle.terminate()


@pytest.mark.parametrize("refused", [REFUND_PAYMENT, contracts.RESTOCK_RETURN], ids=lambda one: one.name)
async def test_a_step_that_is_refused_for_good_after_the_parcel(
    world: World, order: str, refused: ActivityContract[Any, Any]
) -> None:
    """The other one is done all the same; the workflow fails and names what was refused, for a person to look."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(order, refused, refuse)
    handle = await begin_return(world, order)
    await _report(world, handle, order)
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, ApplicationError)
    assert refused.name in str(failure.value.cause)
    other = ({"RefundPayment", "RestockReturn"} - {refused.name}).pop()
    assert other in world.contexts.effects(order)
    assert "CompleteReturn" not in world.contexts.effects(order)
    assert "CancelReturnLabel" not in world.contexts.effects(order)


@pytest.mark.parametrize(
    "refused",
    [contracts.CHECK_RETURN_POLICY, contracts.GENERATE_RETURN_LABEL, contracts.APPROVE_RETURN],
    ids=lambda one: one.name,
)
async def test_a_step_that_is_refused_for_good_before_the_parcel(
    world: World, order: str, refused: ActivityContract[Any, Any]
) -> None:
    """What was done is undone, and the workflow fails with the reason."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(order, refused, refuse)
    handle = await begin_return(world, order)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    undone = ["CancelReturnLabel"] if refused is not contracts.CHECK_RETURN_POLICY else []
    assert list((await snapshot_of(handle)).compensated) == undone


@pytest.mark.parametrize("fault", ["before", "after"])
async def test_the_label_is_called_off_until_it_has_succeeded(world: World, order: str, fault: str) -> None:
    """The compensation has no last attempt; it is done before the rejection is recorded."""
    tries = 0

    def sometimes(_: object) -> None:
        nonlocal tries
        tries += 1
        if tries <= 20:
            if fault == "after":
                world.contexts.asked[order].append("had its effect")
            raise RuntimeError("not this time")

    world.contexts.answer(order, contracts.CANCEL_RETURN_LABEL, sometimes)
    handle = await begin_return(world, order)
    assert await handle.result() == "REJECTED"
    assert tries == 21
    assert world.contexts.effects(order)[-2:] == ["CancelReturnLabel", "RejectReturn"]


@pytest.mark.parametrize("held", [contracts.CHECK_RETURN_POLICY, contracts.GENERATE_RETURN_LABEL, None])
async def test_cancelled_in_temporal_before_the_parcel(
    real: World, order: str, held: ActivityContract[Any, Any] | None
) -> None:
    """Whatever it was at, the attempt under way ends, the label is called off, the return is rejected: CANCELLED."""
    gate = asyncio.Event()
    if held is not None:
        usual = real.contexts.default(held)

        async def hold(argument: Any) -> Any:
            await gate.wait()
            return usual(argument) if usual else None

        real.contexts.answer(order, held, hold)
    handle = await begin_return(real, order)
    if held is not None:
        await asked(real.contexts, order, held)
    else:
        await return_reached(handle, "WAITING_FOR_PARCEL")
    await handle.cancel(reason="a mistake")
    gate.set()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert real.contexts.effects(order)[-1] == "RejectReturn"
    (rejection,) = _arguments(real, order, contracts.REJECT_RETURN)
    assert rejection.code == "CANCELLED"
    assert ("CancelReturnLabel" in real.contexts.effects(order)) == (
        held is not contracts.CHECK_RETURN_POLICY
    )


async def test_cancelled_in_temporal_after_the_parcel(world: World, order: str) -> None:
    """The goods are here: the cancellation has no effect, and the customer is refunded."""
    handle = await begin_return(world, order)
    await parcel_came(world, handle, order)
    await return_reached(handle, "WAITING_FOR_INSPECTION")
    await handle.cancel()
    await inspected(world, handle, order)
    assert await handle.result() == "COMPLETED"


async def test_signals_that_cannot_be_used_are_noted(world: World, order: str) -> None:
    """About another return, unreadable, with an unknown disposition: noted, and the return goes on waiting."""
    handle = await begin_return(world, order)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    await handle.signal(RETURN_RECEIVED.name, {"return_id": "another", "order_id": order})
    await handle.signal(RETURN_RECEIVED.name, args=[])
    await tell_return(
        world,
        handle,
        RETURN_INSPECTED,
        order,
        "odd",
        lines=[{"sku": "bolt", "quantity": 1, "disposition": "eat"}],
    )

    async def all_noted() -> bool:
        return len((await snapshot_of(handle)).signal_failures) == 3

    await until(all_noted)
    assert (await snapshot_of(handle)).state == "WAITING_FOR_PARCEL"
    await _report(world, handle, order)
    assert await handle.result() == "COMPLETED"


async def test_a_flood_of_signals_is_survived(world: World, order: str) -> None:
    """A run that is full goes on in a new one: same deadline, same label to undo, no step twice."""
    handle = await begin_return(world, order)
    await return_reached(handle, "WAITING_FOR_PARCEL")
    deadline = (await snapshot_of(handle)).deadline
    first = (await handle.describe()).run_id
    for _ in range(20):
        await handle.signal(RETURN_RECEIVED.name, {"return_id": "another", "order_id": order})
    latest = world.client.get_workflow_handle(handle.id)

    async def has_continued() -> bool:
        return (await latest.describe()).run_id != first

    await until(has_continued)
    await return_reached(latest, "WAITING_FOR_PARCEL")
    assert (await snapshot_of(latest)).deadline == deadline
    assert datetime.fromisoformat(deadline or "") > await world.environment.get_current_time()
    assert await handle.result() == "REJECTED"
    assert world.contexts.effects(order).count("GenerateReturnLabel") == 1
    assert world.contexts.effects(order)[-2:] == ["CancelReturnLabel", "RejectReturn"]
