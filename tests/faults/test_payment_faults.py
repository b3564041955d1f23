"""Each activity of a payment, over the real services and the local provider, with each kind of fault."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio
from temporalio import workflow
from temporalio.client import WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.worker import Worker

from services.payments.breaker import BreakerOptions, GuardedProvider
from services.payments.provider import PaymentProvider
from services.upstream.provider import Faults
from tests.mishaps import AFTER, BEFORE, TIMEOUT, Mishaps
from tests.payments_support import OWED, Desk, open_desk
from tests.replay.payments import pay
from tests.workflow_support import World, new_namespace
from tidegate.wiring.workflows import methods
from workflows.activities.contracts import payment as contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.contracts.payment import AuthorizationRequest, PaymentFailure, RefundRequest
from workflows.activities.payments import PaymentActivities
from workflows.contracts.base import PAYMENT_PROCESSING_QUEUE
from workflows.contracts.payment import PaymentRequest
from workflows.worker import build_worker

ASKING = "asking"
PAYMENTS = "payments"


@workflow.defn(name="AskUntilDone", sandboxed=False)
class AskUntilDone:
    """Runs one activity until it has succeeded."""

    @workflow.run
    async def run(self, name: str, argument: dict[str, Any]) -> Any:
        return await workflow.execute_activity(
            name,
            argument,
            task_queue=PAYMENTS,
            start_to_close_timeout=timedelta(seconds=2),
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=50), backoff_coefficient=1.0),
        )


@dataclass(slots=True)
class Till:
    """Payments, their provider, and workers of both queues."""

    world: World
    desk: Desk
    mishaps: Mishaps

    async def ask(self, contract: ActivityContract[Any, Any], argument: Any) -> Any:
        """What the activity gives in the end."""
        return await self.world.client.execute_workflow(
            "AskUntilDone",
            args=[contract.name, asdict(argument)],
            id=f"ask-{contract.name}-{secrets.token_hex(4)}",
            task_queue=ASKING,
        )


def _guarded(provider: PaymentProvider) -> GuardedProvider:
    return GuardedProvider(provider, BreakerOptions(rest=0.1))  # it may open, and rests as long as an attempt


@pytest_asyncio.fixture(loop_scope="session")
async def till(postgres_dsn: str, temporal_address: str) -> AsyncIterator[Till]:
    async with (
        open_desk(postgres_dsn, guard=[_guarded]) as desk,
        new_namespace(temporal_address) as world,
        AsyncExitStack() as workers,
    ):
        mishaps = Mishaps()
        activities = methods(PaymentActivities(desk.payments))
        for worker in (
            Worker(world.client, task_queue=ASKING, workflows=[AskUntilDone]),
            build_worker(world.client, PAYMENT_PROCESSING_QUEUE, strict=True),
            build_worker(world.client, PAYMENTS, activities=activities, around_activities=[mishaps]),
        ):
            await workers.enter_async_context(worker)
        yield Till(world, desk, mishaps)
        mishaps.released.set()


@dataclass(frozen=True)
class Case:
    """An activity, what was done before it, and what must be so after it."""

    contract: ActivityContract[Any, Any]
    before: Sequence[str]
    result: Any
    state: str
    events: Sequence[str]

    def argument(self, order_id: str) -> Any:
        """What goes in."""
        match self.contract.name:
            case "AuthorizePayment":
                return AuthorizationRequest(order_id, str(OWED), "EUR", "tok_visa")
            case "VoidAuthorization":
                return OrderReference(order_id, "paid")
            case "FailPayment":
                return PaymentFailure(order_id, "FRAUD", "it is one")
            case "RefundPayment":
                return RefundRequest(order_id, f"refund-of-{order_id}", "5.00")
            case _:
                return PaymentRequest(order_id)


HELD, TAKEN = ("authorized",), ("authorized", "captured")
AUTHORIZED, CAPTURED = "PaymentAuthorized", "PaymentCaptured"

CASES = (
    Case(contracts.AUTHORIZE_PAYMENT, (), None, "AUTHORIZED", (AUTHORIZED,)),
    Case(contracts.VOID_AUTHORIZATION, HELD, None, "VOIDED", (AUTHORIZED, "PaymentVoided")),
    Case(contracts.CHECK_FRAUD, HELD, None, "AUTHORIZED", (AUTHORIZED,)),
    Case(contracts.CHECK_FRAUD_V2, HELD, None, "AUTHORIZED", (AUTHORIZED,)),
    Case(contracts.VALIDATE_CARD, HELD, None, "AUTHORIZED", (AUTHORIZED,)),
    Case(contracts.CAPTURE_PAYMENT, HELD, None, "CAPTURED", (AUTHORIZED, CAPTURED)),
    Case(contracts.FAIL_PAYMENT, HELD, "FAILED", "VOIDED", (AUTHORIZED, "PaymentVoided", "PaymentFailed")),
    Case(
        contracts.REFUND_PAYMENT,
        TAKEN,
        "5.00",
        "PARTIALLY_REFUNDED",
        (AUTHORIZED, CAPTURED, "PaymentRefunded"),
    ),
)


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT, "error", "lost"])
async def test_a_fault_in_any_activity_is_outlived(till: Till, unique: str, mishap: str) -> None:
    """Each activity meets the fault once, and then twice: one effect, one event, the same books on both sides.

    It fails before its effect, after it, or is never heard of again; the provider answers with an error, or does what
    it was asked and its answer is lost.
    """
    orders = {case.contract.name: f"{unique}-{case.contract.name}" for case in CASES}
    for case in CASES:
        if "captured" in case.before:
            await till.desk.captured(orders[case.contract.name])
        elif case.before:
            await till.desk.authorized(orders[case.contract.name])
    if mishap in {BEFORE, AFTER, TIMEOUT}:
        for name, order_id in orders.items():
            till.mishaps.script[order_id, name] = [mishap, mishap] if mishap != TIMEOUT else [mishap]
    else:
        steps = (mishap, mishap)
        till.desk.server.misbehave(
            Faults(script=dict.fromkeys(("authorize", "capture", "void", "refund", "fraud", "card"), steps))
        )
    results = await asyncio.gather(
        *(till.ask(case.contract, case.argument(orders[case.contract.name])) for case in CASES)
    )
    for case, result in zip(CASES, results, strict=True):
        order_id = orders[case.contract.name]
        if case.result is not None:
            assert result == case.result, case
        assert (await till.desk.payment(order_id)).state == case.state, case
        assert tuple(await till.desk.names(order_id)) == case.events, case
        await till.desk.agree(order_id)


@pytest.mark.parametrize("mishap", [BEFORE, AFTER])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_payment_among_faults(till: Till, unique: str, mishap: str, times: int) -> None:
    """Each activity of the workflow fails once, or as often as it may: captured once, or failed and freed."""
    names = ("CheckFraudV2", "ValidateCard", "CapturePayment")
    for name in names:
        await till.desk.authorized(f"{unique}-{name}")
        till.mishaps.script[f"{unique}-{name}", name] = [mishap] * times
        till.mishaps.script[f"{unique}-{name}", "FailPayment"] = [mishap]
    handles = [await pay(till.world, f"{unique}-{name}") for name in names]
    ends = await asyncio.gather(*(handle.result() for handle in handles), return_exceptions=True)
    for name, end in zip(names, ends, strict=True):
        order_id = f"{unique}-{name}"
        await till.desk.agree(order_id)
        payment = await till.desk.payment(order_id)
        if times == 1 or (name, mishap) == ("CapturePayment", AFTER):
            # The third attempt to capture had its effect before it failed: giving up finds it, and it stands.
            assert end == "CAPTURED", name
            assert (payment.state, payment.captured) == ("CAPTURED", OWED), name
            assert await till.desk.names(order_id) == [AUTHORIZED, CAPTURED], name
        else:
            assert isinstance(end, WorkflowFailureError), name
            assert isinstance(end.cause, ApplicationError), name
            assert end.cause.type == "PaymentUnavailableError", name
            assert (payment.state, payment.captured) == ("VOIDED", Decimal(0)), name
            assert await till.desk.names(order_id) == [AUTHORIZED, "PaymentVoided", "PaymentFailed"], name


@pytest.mark.parametrize(
    ("token", "kind", "code"),
    [
        ("tok_fraud", "FraudDetectedError", "FRAUD"),
        ("tok_fraud_v2", "FraudDetectedError", "FRAUD"),
        ("tok_invalid_card", "CardInvalidError", "CARD_INVALID"),
        ("tok_capture_insufficient_funds", "InsufficientFundsError", "INSUFFICIENT_FUNDS"),
    ],
)
async def test_what_the_provider_says_no_to(
    till: Till, unique: str, token: str, kind: str, code: str
) -> None:
    """A payment that is refused is asked about once, frees what was held, and fails with its own error."""
    await till.desk.authorized(unique, token)
    with pytest.raises(WorkflowFailureError) as failed:
        await (await pay(till.world, unique)).result()
    assert isinstance(failed.value.cause, ApplicationError)
    assert failed.value.cause.type == kind
    payment = await till.desk.payment(unique)
    assert (payment.state, payment.failure_code) == ("VOIDED", code)
    await till.desk.agree(unique)
    assert set(till.desk.server.requests.values()) == {1}


async def test_a_refund_above_what_is_left_is_not_tried_again(till: Till, unique: str) -> None:
    """The activity fails for good with RefundRefusedError."""
    await till.desk.captured(unique)
    with pytest.raises(WorkflowFailureError) as failed:
        await till.ask(contracts.REFUND_PAYMENT, RefundRequest(unique, f"r-{unique}", "40.01"))
    assert isinstance(failed.value.cause, ActivityError)
    assert isinstance(failed.value.cause.cause, ApplicationError)
    assert (failed.value.cause.cause.type, failed.value.cause.cause.non_retryable) == (
        "RefundRefusedError",
        True,
    )
