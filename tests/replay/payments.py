"""The lives of a payment whose histories are kept: those of v1, and those of today."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from tests.waiting import until
from tests.workflow_support import World, asked, illegal
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.payment import (
    CAPTURE_PAYMENT,
    CHECK_FRAUD,
    CHECK_FRAUD_V2,
    FAIL_PAYMENT,
    VALIDATE_CARD,
)
from workflows.contracts.payment import PAYMENT, PaymentRequest

Handle = WorkflowHandle[Any, str]
Scenario = Callable[[World, str], Awaitable[Handle]]

CHECKS: Final = (CHECK_FRAUD, CHECK_FRAUD_V2)
"""The fraud check of v1 and that of v2: a scenario prepares both, and the workflow asks for one."""


async def pay(world: World, order_id: str) -> Handle:
    """Start the payment of an order."""
    return await world.client.start_workflow(
        PAYMENT.name,
        PaymentRequest(order_id),
        id=PAYMENT.workflow_id(order_id=order_id),
        task_queue=PAYMENT.queue,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        result_type=str,
    )


def refused(world: World, order_id: str, kind: str, *activities: ActivityContract[Any, Any]) -> None:
    """Have ``activities`` refused for good with an error of type ``kind``."""

    def refuse(_: object) -> None:
        raise ApplicationError(f"{kind} of {order_id}", type=kind, non_retryable=True)

    for activity in activities:
        world.contexts.answer(order_id, activity, refuse)


def failing(world: World, order_id: str, activity: ActivityContract[Any, Any], times: int) -> None:
    """Have ``activity`` fail ``times`` times, to be tried again."""
    failures = iter(range(times))

    def answer(_: object) -> Any:
        if next(failures, None) is not None:
            raise RuntimeError("not this time")
        return "FAILED" if activity.name == FAIL_PAYMENT.name else None

    world.contexts.answer(order_id, activity, answer)


async def cancel_is_known(handle: Handle) -> None:
    """Return once the workflow has asked its activity to stop."""

    async def known() -> bool:
        history = await handle.fetch_history()
        wanted = EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED
        return any(event.event_type == wanted for event in history.events)

    await until(known)


# --- Both versions ------------------------------------------------------------------------------------


async def captured(world: World, order_id: str) -> Handle:
    """Straight through."""
    return await pay(world, order_id)


async def captured_after_two_failures(world: World, order_id: str) -> Handle:
    """Check and capture fail twice each."""
    for activity in (*CHECKS, CAPTURE_PAYMENT):
        failing(world, order_id, activity, 2)
    return await pay(world, order_id)


async def captured_after_all(world: World, order_id: str) -> Handle:
    """No attempt to capture was answered, and giving up finds that the money was taken."""
    failing(world, order_id, CAPTURE_PAYMENT, 1_000)
    world.contexts.answer(order_id, FAIL_PAYMENT, lambda _: "CAPTURED")
    return await pay(world, order_id)


async def failed_on_fraud(world: World, order_id: str) -> Handle:
    """The check finds a fraud."""
    refused(world, order_id, "FraudDetectedError", *CHECKS)
    return await pay(world, order_id)


async def failed_without_funds(world: World, order_id: str) -> Handle:
    """No money when it is taken, and the provider away when it is to be freed."""
    refused(world, order_id, "InsufficientFundsError", CAPTURE_PAYMENT)
    failing(world, order_id, FAIL_PAYMENT, 8)
    return await pay(world, order_id)


async def failed_without_an_answer(world: World, order_id: str) -> Handle:
    """All attempts to capture are used up."""
    failing(world, order_id, CAPTURE_PAYMENT, 1_000)
    return await pay(world, order_id)


async def failed_on_a_voided_payment(world: World, order_id: str) -> Handle:
    """Somebody took the payment back meanwhile."""

    def voided(_: object) -> None:
        raise illegal()

    world.contexts.answer(order_id, CAPTURE_PAYMENT, voided)
    return await pay(world, order_id)


async def cancelled_while_checking(world: World, order_id: str) -> Handle:
    """Cancelled while the check is about to be tried again."""
    for check in CHECKS:
        failing(world, order_id, check, 1)
    handle = await pay(world, order_id)
    await until(lambda: bool(world.contexts.arguments[order_id]))
    await handle.cancel()
    return handle


async def cancelled_too_late(world: World, order_id: str) -> Handle:
    """Cancelled while the money is being taken: captured."""
    gate = asyncio.Event()

    async def hold(_: object) -> None:
        await gate.wait()

    world.contexts.answer(order_id, CAPTURE_PAYMENT, hold)
    handle = await pay(world, order_id)
    await asked(world.contexts, order_id, CAPTURE_PAYMENT)
    await handle.cancel()
    await cancel_is_known(handle)
    gate.set()
    return handle


# --- One version only ---------------------------------------------------------------------------------


async def captured_at_the_fifth_attempt(world: World, order_id: str) -> Handle:
    """v1: the last attempt to capture is the one that works."""
    failing(world, order_id, CAPTURE_PAYMENT, 4)
    return await pay(world, order_id)


async def failed_on_an_invalid_card(world: World, order_id: str) -> Handle:
    """v2: the card cannot be used, and the fraud check is still being tried."""
    refused(world, order_id, "CardInvalidError", VALIDATE_CARD)
    failing(world, order_id, CHECK_FRAUD_V2, 2)
    return await pay(world, order_id)


async def failed_on_both_checks(world: World, order_id: str) -> Handle:
    """v2: a fraud with an invalid card."""
    refused(world, order_id, "CardInvalidError", VALIDATE_CARD)
    refused(world, order_id, "FraudDetectedError", CHECK_FRAUD_V2)
    return await pay(world, order_id)


_BOTH: Final[tuple[Scenario, ...]] = (
    captured,
    captured_after_two_failures,
    captured_after_all,
    failed_on_fraud,
    failed_without_funds,
    failed_without_an_answer,
    failed_on_a_voided_payment,
    cancelled_while_checking,
    cancelled_too_late,
)

V1_SCENARIOS: Final[tuple[Scenario, ...]] = (*_BOTH, captured_at_the_fifth_attempt)
"""What was recorded of v1, before "payment-v2": in ``histories/PaymentWorkflow/v1``, never to be recorded again."""

SCENARIOS: Final[tuple[Scenario, ...]] = (*_BOTH, failed_on_an_invalid_card, failed_on_both_checks)
"""What is recorded of today's workflow."""
