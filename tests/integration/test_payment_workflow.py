"""How a payment is retried, given up, cancelled and asked, with the clock skipped."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError

from tests.replay import payments as lives
from tests.replay.payments import failing, pay, refused
from tests.skipping import SkippingServers
from tests.waiting import until
from tests.workflow_support import World, asked, skipping_world
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.payment import (
    CAPTURE_PAYMENT,
    CHECK_FRAUD_V2,
    FAIL_PAYMENT,
    VALIDATE_CARD,
)
from workflows.contracts.payment import GET_SNAPSHOT, PAYMENT, PaymentRequest, PaymentSnapshot

V1 = Path(__file__).parents[1] / "replay" / "histories" / "PaymentWorkflow" / "v1"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """One server for all tests here: no payment stays open, so none holds the clock for another."""
    async with skipping_world(skipping_servers) as opened:
        yield opened


def tries(world: World, order_id: str) -> Counter[str]:
    """How often each activity was tried."""
    return Counter(name for name, _ in world.contexts.arguments[order_id])


async def failure_of(handle: lives.Handle) -> ApplicationError:
    """What the payment failed with."""
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def test_names_and_places(world: World, unique: str) -> None:
    """`payment-{order_id}` on `payment-processing`; its activities, by their names, on `payments` (002)."""
    handle = await pay(world, unique)
    assert await handle.result() == "CAPTURED"
    description = await handle.describe()
    assert (handle.id, description.task_queue) == (f"payment-{unique}", "payment-processing")
    assert description.workflow_type == "PaymentWorkflow"
    assert tries(world, unique) == {"CheckFraudV2": 1, "ValidateCard": 1, "CapturePayment": 1}
    assert {CHECK_FRAUD_V2.queue, VALIDATE_CARD.queue, CAPTURE_PAYMENT.queue} == {"payments"}


async def test_both_checks_are_under_way_at_once(world: World, unique: str) -> None:
    """Neither check waits for the other, and the capture waits for both."""
    fraud_check, card_check = asyncio.Event(), asyncio.Event()

    async def check_fraud(_: object) -> None:
        fraud_check.set()
        await card_check.wait()

    async def check_card(_: object) -> None:
        card_check.set()
        await fraud_check.wait()

    world.contexts.answer(unique, CHECK_FRAUD_V2, check_fraud)
    world.contexts.answer(unique, VALIDATE_CARD, check_card)
    assert await (await pay(world, unique)).result() == "CAPTURED"
    assert world.contexts.effects(unique)[-1] == "CapturePayment"


@pytest.mark.parametrize(
    "contract", [CHECK_FRAUD_V2, VALIDATE_CARD, CAPTURE_PAYMENT], ids=lambda one: one.name
)
async def test_three_attempts(world: World, unique: str, contract: ActivityContract[Any, Any]) -> None:
    """The third attempt may still succeed; there is no fourth, and the payment is given up (002: 5 → 3)."""
    failing(world, f"in-time-{unique}", contract, 2)
    failing(world, f"too-late-{unique}", contract, 3)
    assert await (await pay(world, f"in-time-{unique}")).result() == "CAPTURED"
    handle = await pay(world, f"too-late-{unique}")
    assert (await failure_of(handle)).type == "PaymentUnavailableError"
    assert (
        tries(world, f"in-time-{unique}")[contract.name]
        == tries(world, f"too-late-{unique}")[contract.name]
        == 3
    )
    assert dict(world.contexts.arguments[f"too-late-{unique}"])["FailPayment"].code == "UNAVAILABLE"


async def test_the_intervals_are_the_standard_ones(world: World, unique: str) -> None:
    """Again after 1 s, then after 2 s (002, "Standard Configuration")."""
    at: list[float] = []

    async def note(_: object) -> None:
        at.append((await world.environment.get_current_time()).timestamp())
        raise RuntimeError("not this time")

    world.contexts.answer(unique, CAPTURE_PAYMENT, note)
    await failure_of(await pay(world, unique))
    assert [round(later - before) for before, later in pairwise(at)] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "contract", "code"),
    [
        ("FraudDetectedError", CHECK_FRAUD_V2, "FRAUD"),
        ("CardInvalidError", VALIDATE_CARD, "CARD_INVALID"),
        ("InsufficientFundsError", CAPTURE_PAYMENT, "INSUFFICIENT_FUNDS"),
        ("CardDeclinedError", CAPTURE_PAYMENT, "DECLINED"),
    ],
)
async def test_a_refusal_is_not_tried_again(
    world: World, unique: str, kind: str, contract: ActivityContract[Any, Any], code: str
) -> None:
    """One attempt; then FailPayment with the code, and the workflow fails with the refusal's own type."""
    refused(world, unique, kind, contract)
    failure = await failure_of(await pay(world, unique))
    assert (failure.type, failure.message) == (kind, f"{kind} of {unique}")
    assert tries(world, unique)[contract.name] == 1
    assert world.contexts.effects(unique)[-1] == "FailPayment"
    told = dict(world.contexts.arguments[unique])["FailPayment"]
    assert (told.code, told.reason) == (code, f"{kind} of {unique}")


async def test_a_refusal_counts_more_than_an_attempt_without_answer(world: World, unique: str) -> None:
    """Fraud check without answer, card invalid: the payment fails on the card, whichever came first."""
    failing(world, unique, CHECK_FRAUD_V2, 1_000)
    refused(world, unique, "CardInvalidError", VALIDATE_CARD)
    assert (await failure_of(await pay(world, unique))).type == "CardInvalidError"


async def test_failing_is_tried_until_it_succeeds(world: World, unique: str) -> None:
    """The provider is away for hours when money is to be freed: it is freed."""
    refused(world, unique, "FraudDetectedError", CHECK_FRAUD_V2)
    failing(world, unique, FAIL_PAYMENT, 200)
    before = await world.environment.get_current_time()
    assert (await failure_of(await pay(world, unique))).type == "FraudDetectedError"
    assert tries(world, unique)["FailPayment"] == 201
    assert await world.environment.get_current_time() - before > timedelta(hours=3)


async def test_money_that_was_taken_stays_taken(world: World, unique: str) -> None:
    """No attempt to capture was answered, but one had its effect: CAPTURED, not failed and not charged again."""
    assert await (await lives.captured_after_all(world, unique)).result() == "CAPTURED"
    assert tries(world, unique)["CapturePayment"] == 3


async def test_cancelled_in_time_it_frees_what_is_held(world: World, unique: str) -> None:
    """Cancelled before the capture: FailPayment, no capture, and the workflow ends cancelled."""
    handle = await lives.cancelled_while_checking(world, unique)
    with pytest.raises(WorkflowFailureError) as ended:
        await handle.result()
    assert isinstance(ended.value.cause, CancelledError)
    assert dict(world.contexts.arguments[unique])["FailPayment"].code == "CANCELLED"
    assert "CapturePayment" not in tries(world, unique)


async def test_cancelled_too_late_it_is_captured(world: World, unique: str) -> None:
    """Cancelled while the money is being taken: what is then known is that it was taken."""
    assert await (await lives.cancelled_too_late(world, unique)).result() == "CAPTURED"
    assert "FailPayment" not in tries(world, unique)


async def test_it_says_where_it_stands(world: World, unique: str) -> None:
    """`getSnapshot`: the state, what it waits for, and why it failed."""
    gate = asyncio.Event()

    async def hold(_: object) -> None:
        await gate.wait()
        raise ApplicationError("no money", type="InsufficientFundsError", non_retryable=True)

    world.contexts.answer(unique, CAPTURE_PAYMENT, hold)
    handle = await pay(world, unique)
    await asked(world.contexts, unique, CAPTURE_PAYMENT)

    async def capturing() -> bool:
        return (await snapshot_of(handle)).state == "CAPTURING"

    await until(capturing)
    assert (await snapshot_of(handle)).blocking_reason == "CapturePayment not done yet (task queue payments)"
    gate.set()
    await failure_of(handle)
    assert await snapshot_of(handle) == PaymentSnapshot(unique, "FAILED", None, "INSUFFICIENT_FUNDS")


async def snapshot_of(handle: lives.Handle) -> PaymentSnapshot:
    """What `getSnapshot` answers."""
    snapshot: PaymentSnapshot = await handle.query(GET_SNAPSHOT, result_type=PaymentSnapshot)
    return snapshot


async def test_paid_again_it_is_the_same_payment(world: World, unique: str) -> None:
    """A second start while the first runs is refused: one order, one payment under way."""
    gate = asyncio.Event()

    async def hold(_: object) -> None:
        await gate.wait()

    world.contexts.answer(unique, CAPTURE_PAYMENT, hold)
    handle = await pay(world, unique)
    with pytest.raises(Exception, match="already started"):
        await world.client.start_workflow(
            PAYMENT.name, PaymentRequest(unique), id=f"payment-{unique}", task_queue=PAYMENT.queue
        )
    gate.set()
    assert await handle.result() == "CAPTURED"


def test_v1_was_what_seed_002_says_it_was() -> None:
    """The kept histories of v1 ask for CheckFraud and the capture, five attempts each, and carry no marker."""
    for path in V1.glob("*.json"):
        events = json.loads(path.read_text())["events"]
        scheduled = [one["activityTaskScheduledEventAttributes"] for one in events if _is(one, "Scheduled")]
        asked_for = {
            one["activityType"]["name"]: one["retryPolicy"].get("maximumAttempts") for one in scheduled
        }
        assert asked_for.pop("FailPayment", None) is None
        assert asked_for in ({"CheckFraud": 5, "CapturePayment": 5}, {"CheckFraud": 5}), path.stem
        assert "MARKER_RECORDED" not in path.read_text()
    fifth = json.loads((V1 / "captured_at_the_fifth_attempt.json").read_text())["events"]
    attempts = [one["activityTaskStartedEventAttributes"]["attempt"] for one in fifth if _is(one, "Started")]
    assert attempts == [1, 5]


def _is(event: dict[str, Any], what: str) -> bool:
    return f"activityTask{what}EventAttributes" in event
