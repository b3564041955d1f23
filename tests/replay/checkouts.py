"""The lives of a checkout whose histories are kept: each end, by each way to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from temporalio.exceptions import ApplicationError

from tests.checkout_support import Handle, at, check_out, decide, order_of, review
from tests.waiting import until
from tests.workflow_support import World, asked, every_activity, illegal

FLOOD: Final = 20
"""After how many signals the recorder's workers ask a run to end."""


def _answers(
    world: World, checkout_id: str, activity: str, error: Callable[[], Exception], times: int = 1_000
) -> None:
    failures = iter(range(times))

    def answer(argument: Any) -> Any:
        if next(failures, None) is not None:
            raise error()
        return f"{activity}-of-{argument.order_id}" if every_activity()[activity].output is str else None

    world.contexts.answer(order_of(checkout_id), every_activity()[activity], answer)


def _away() -> Exception:
    return ConnectionError("away")


async def completed(world: World, checkout_id: str) -> Handle:
    """Approved while it waits."""
    handle = await check_out(world, checkout_id)
    await at(handle, "AWAITING_FRAUD_DECISION")
    await decide(handle, "approved")
    return handle


async def completed_by_an_early_decision(world: World, checkout_id: str) -> Handle:
    """Approved before it waits, and approved again."""
    handle = await check_out(world, checkout_id)
    await decide(handle, "approved")
    await decide(handle, "approved")
    return handle


async def completed_after_retries(world: World, checkout_id: str) -> Handle:
    """The provider and OMS away for a while."""
    for activity in ("AuthorizePayment", "CreateOrder", "CompleteCheckout"):
        _answers(world, checkout_id, activity, _away, times=3)
    return await completed(world, checkout_id)


async def completed_after_a_review(world: World, checkout_id: str) -> Handle:
    """Reviewed and approved, hours later."""
    handle = await check_out(world, checkout_id)
    await decide(handle, "review")
    await at(handle, "AWAITING_MANUAL_REVIEW")
    await world.environment.sleep(timedelta(hours=20))
    await review(handle, "approved")
    return handle


async def completed_although_cancelled_late(world: World, checkout_id: str) -> Handle:
    """Cancelled in Temporal once it was approved."""
    held = world.contexts.hold(order_of(checkout_id), every_activity()["CompleteCheckout"])
    handle = await completed(world, checkout_id)
    await asked(world.contexts, order_of(checkout_id), every_activity()["CompleteCheckout"])
    await handle.cancel()
    held.set()
    return handle


async def completed_with_its_order_there(world: World, checkout_id: str) -> Handle:
    """The order's workflow had been started."""
    order_id = order_of(checkout_id)
    await world.client.start_workflow(
        "OrderWorkflow", {"order_id": order_id}, id=f"order-{order_id}", task_queue="order-processing"
    )
    return await completed(world, checkout_id)


async def rejected_by_fraud_detection(world: World, checkout_id: str) -> Handle:
    """Rejected by rule; an approval that comes later is noted."""
    held = world.contexts.hold(order_of(checkout_id), every_activity()["VoidAuthorization"])
    handle = await check_out(world, checkout_id)
    await decide(handle, "rejected", reason="three cards in an hour")
    await asked(world.contexts, order_of(checkout_id), every_activity()["VoidAuthorization"])
    await decide(handle, "approved")
    held.set()
    return handle


async def rejected_by_a_review(world: World, checkout_id: str) -> Handle:
    """Rejected by hand; the decision had come before the review was asked for."""
    handle = await check_out(world, checkout_id)
    await review(handle, "rejected")
    await decide(handle, "review")
    return handle


async def rejected_as_invalid(world: World, checkout_id: str) -> Handle:
    """Validation says no."""
    _answers(
        world, checkout_id, "ValidateCheckout", lambda: ApplicationError("no lines", type="InvalidOrderError")
    )
    return await check_out(world, checkout_id)


async def rejected_as_declined(world: World, checkout_id: str) -> Handle:
    """The card is declined."""
    _answers(
        world, checkout_id, "AuthorizePayment", lambda: ApplicationError("no", type="InsufficientFundsError")
    )
    return await check_out(world, checkout_id)


async def rejected_with_oms_away(world: World, checkout_id: str) -> Handle:
    """Attempts used up at the order; the compensations fail for a while, too."""
    _answers(world, checkout_id, "CreateOrder", _away)
    for activity in ("WithdrawOrder", "VoidAuthorization", "RejectCheckout"):
        _answers(world, checkout_id, activity, _away, times=2)
    return await check_out(world, checkout_id)


async def rejected_at_the_fraud_check(world: World, checkout_id: str) -> Handle:
    """Nobody can be asked for a decision."""
    _answers(world, checkout_id, "RequestFraudCheck", _away)
    return await check_out(world, checkout_id)


async def expired_without_a_decision(world: World, checkout_id: str) -> Handle:
    """15 minutes; signals that cannot be used do not count."""
    handle = await check_out(world, checkout_id)
    await decide(handle, "perhaps")
    await handle.signal("fraudDecision", "approved")
    return handle


async def expired_under_review(world: World, checkout_id: str) -> Handle:
    """24 hours."""
    handle = await check_out(world, checkout_id)
    await decide(handle, "review")
    return handle


async def cancelled_while_it_waited(world: World, checkout_id: str) -> Handle:
    """Cancelled in Temporal before a decision."""
    handle = await check_out(world, checkout_id)
    await at(handle, "AWAITING_FRAUD_DECISION")
    await handle.cancel(reason="customer left")
    return handle


async def cancelled_during_a_step(world: World, checkout_id: str) -> Handle:
    """Cancelled in Temporal while the authorisation is under way."""
    held = world.contexts.hold(order_of(checkout_id), every_activity()["AuthorizePayment"])
    handle = await check_out(world, checkout_id)
    await asked(world.contexts, order_of(checkout_id), every_activity()["AuthorizePayment"])
    await handle.cancel()
    await at(handle, "RUNNING")
    held.set()
    return handle


async def broken_off_where_undoing_is_refused(world: World, checkout_id: str) -> Handle:
    """A compensation refused for good: the workflow fails."""
    _answers(world, checkout_id, "WithdrawOrder", illegal)
    handle = await check_out(world, checkout_id)
    await decide(handle, "rejected")
    return handle


async def unreadable(world: World, checkout_id: str) -> Handle:
    """No checkout at all."""
    return await world.client.start_workflow(
        "CheckoutWorkflow",
        {"checkout_id": checkout_id},
        id=f"checkout-{checkout_id}",
        task_queue="order-processing",
        result_type=str,
    )


async def continued_as_new(world: World, checkout_id: str) -> Handle:
    """A flood of decisions that are none, while it waits for one and again under review."""
    handle = await check_out(world, checkout_id)
    await at(handle, "AWAITING_FRAUD_DECISION")
    await _flood(handle)
    await decide(handle, "review")
    await at(handle, "AWAITING_MANUAL_REVIEW")
    await _flood(handle)
    await at(handle, "AWAITING_MANUAL_REVIEW")
    await review(handle, "approved")
    return handle


async def _flood(handle: Handle) -> None:
    first = (await handle.describe()).run_id
    for _ in range(FLOOD):
        await decide(handle, "perhaps")

    async def has_continued() -> bool:
        return (await handle.describe()).run_id != first

    await until(has_continued)


SCENARIOS: Final[tuple[Callable[[World, str], Awaitable[Handle]], ...]] = (
    completed,
    completed_by_an_early_decision,
    completed_after_retries,
    completed_after_a_review,
    completed_although_cancelled_late,
    completed_with_its_order_there,
    rejected_by_fraud_detection,
    rejected_by_a_review,
    rejected_as_invalid,
    rejected_as_declined,
    rejected_with_oms_away,
    rejected_at_the_fraud_check,
    expired_without_a_decision,
    expired_under_review,
    cancelled_while_it_waited,
    cancelled_during_a_step,
    broken_off_where_undoing_is_refused,
    unreadable,
    continued_as_new,
)
"""What is recorded of CheckoutWorkflow."""
