"""CheckoutWorkflow, decision by decision, with fakes for the contexts: what it asks for, and in which order."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import ApplicationError, CancelledError, WorkflowAlreadyStartedError

from tests.checkout_support import (
    FORWARD,
    UNDONE,
    at,
    check_out,
    checkout_request,
    decide,
    order_of,
    review,
    snapshot_of,
)
from tests.waiting import until
from tests.workflow_support import World, asked, illegal, real_world, signal_as_event
from workflows.activities.contracts import checkout as contracts
from workflows.activities.contracts.checkout import CheckoutRejection
from workflows.activities.contracts.payment import VOID_AUTHORIZATION, AuthorizationRequest


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


def rejection(world: World, checkout_id: str) -> CheckoutRejection:
    """What the checkouts were told of the end of a checkout."""
    told = [
        argument
        for name, argument in world.contexts.arguments[order_of(checkout_id)]
        if name == "RejectCheckout"
    ]
    assert len(told) == 1
    found: CheckoutRejection = told[0]
    return found


def done(world: World, checkout_id: str) -> list[str]:
    """What has been done for the checkout; what its order does once it has begun is not the checkout's."""
    effects = world.contexts.effects(order_of(checkout_id))
    own = {*FORWARD, *UNDONE, "CompleteCheckout", "RejectCheckout", "ExpireCheckout"}
    return [name for name in effects if name in own]


async def test_an_approved_checkout_starts_its_order(world: World, unique: str) -> None:
    """Validate, authorise what validation found, create the paid order, ask for the decision; then the order begins."""
    handle = await check_out(world, unique)
    waiting = await at(handle, "AWAITING_FRAUD_DECISION")
    assert (waiting.step, waiting.blocking_reason) == ("Wait for Fraud Decision", "waiting for fraudDecision")
    assert waiting.deadline is not None
    await decide(handle, "approved")
    assert await handle.result() == "COMPLETED"
    assert done(world, unique) == [*FORWARD, "CompleteCheckout"]
    arguments = dict(reversed(world.contexts.arguments[order_of(unique)]))
    assert arguments["AuthorizePayment"] == AuthorizationRequest(order_of(unique), "3.17", "EUR", "token-1")
    assert arguments["CreateOrder"] == checkout_request(unique).order()
    assert arguments["CreateOrder"].flow == "paid"
    assert arguments["EmitOrderEvent"].event_type == "OrderCreated"
    child = world.client.get_workflow_handle(f"order-{order_of(unique)}")
    started = (await child.fetch_history()).events[0].workflow_execution_started_event_attributes
    assert started.workflow_type.name == "OrderWorkflow"
    assert started.parent_workflow_execution.workflow_id == f"checkout-{unique}"


@pytest.mark.parametrize(
    ("by_rule", "by_hand", "end", "code"),
    [
        ("rejected", None, "REJECTED", "FRAUD"),
        ("review", "rejected", "REJECTED", "MANUAL_REVIEW"),
        ("review", "approved", "COMPLETED", None),
    ],
)
async def test_decisions(
    world: World, unique: str, by_rule: str, by_hand: str | None, end: str, code: str | None
) -> None:
    """A rejection, by rule or by hand, gives up the order and voids the authorisation, and says why."""
    handle = await check_out(world, unique)
    await at(handle, "AWAITING_FRAUD_DECISION")
    await decide(handle, by_rule, reason="three cards in an hour")
    if by_hand:
        waiting = await at(handle, "AWAITING_MANUAL_REVIEW")
        assert (waiting.blocking_reason or "").startswith("waiting for manualReviewDecision until ")
        await review(handle, by_hand, reason="three cards in an hour")
    assert await handle.result() == end
    snapshot = await snapshot_of(handle)
    assert (snapshot.state, snapshot.fraud_decision, snapshot.review_decision) == (end, by_rule, by_hand)
    if code is None:
        assert done(world, unique) == [*FORWARD, "CompleteCheckout"]
    else:
        assert done(world, unique) == [*FORWARD, *UNDONE, "RejectCheckout"]
        told = rejection(world, unique)
        assert (told.checkout_id, told.code, told.reason) == (unique, code, "three cards in an hour")
        assert (snapshot.code, list(snapshot.compensated)) == (code, UNDONE)


async def test_decisions_that_come_early_count(world: World, unique: str) -> None:
    """Decisions that arrive before anybody waits for them, in either order, are found when they are needed."""
    handle = await world.client.start_workflow(
        "CheckoutWorkflow",
        checkout_request(unique),
        id=f"checkout-{unique}",
        task_queue="order-processing",
        start_signal="manualReviewDecision",
        start_signal_args=[{"checkout_id": unique, "decision": "rejected", "reviewer_id": "r"}],
        result_type=str,
    )
    await decide(handle, "review")
    assert await handle.result() == "REJECTED"
    assert rejection(world, unique).code == "MANUAL_REVIEW"


async def test_a_review_by_hand_does_not_decide_what_fraud_detection_has_not_passed_on(
    world: World, unique: str
) -> None:
    """A reviewer's word counts where a review was asked for; an approval by rule needs none."""
    handle = await check_out(world, unique)
    await review(handle, "rejected")
    await decide(handle, "approved")
    assert await handle.result() == "COMPLETED"


async def test_the_first_decision_counts_and_others_are_noted(world: World, unique: str) -> None:
    """The same fact again changes nothing; another one is kept where the snapshot shows it."""
    handle = await check_out(world, unique)
    await at(handle, "AWAITING_FRAUD_DECISION")
    for decision in ("review", "review", "approved"):
        await decide(handle, decision)
    await review(handle, "rejected")
    assert await handle.result() == "REJECTED"
    assert done(world, unique) == [*FORWARD, *UNDONE, "RejectCheckout"]
    failures = (await snapshot_of(handle)).signal_failures
    assert [(failure.signal, failure.reason) for failure in failures] == [
        ("fraudDecision", "approved, after it had been review")
    ]


async def test_a_late_approval_changes_nothing(world: World, unique: str) -> None:
    """An approval that comes while a rejection is being undone is noted; no order begins."""
    held = world.contexts.hold(order_of(unique), VOID_AUTHORIZATION)
    handle = await check_out(world, unique)
    await at(handle, "AWAITING_FRAUD_DECISION")
    await decide(handle, "rejected")
    await asked(world.contexts, order_of(unique), VOID_AUTHORIZATION)
    await decide(handle, "approved")
    await review(handle, "approved")
    held.set()
    assert await handle.result() == "REJECTED"
    assert done(world, unique) == [*FORWARD, *UNDONE, "RejectCheckout"]
    noted = [failure.reason for failure in (await snapshot_of(handle)).signal_failures]
    assert noted == [
        "approved, after it had been rejected",
        "approved, after the checkout had been decided",
    ]


async def test_the_same_event_twice_is_one_decision(world: World, unique: str) -> None:
    """As the bridge delivers it: the repeat of an event does not even reach the workflow."""
    handle = await check_out(world, unique)
    await at(handle, "AWAITING_FRAUD_DECISION")
    for attempt in ("1", "2"):
        payload = {"checkout_id": unique, "decision": "approved"}
        await signal_as_event(world.client, handle.id, "fraudDecision", "event-1", attempt + unique, payload)
    assert await handle.result() == "COMPLETED"
    assert done(world, unique).count("CompleteCheckout") == 1


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"checkout_id": "?", "decision": "maybe"}, "its decision is none of approved, rejected, review"),
        ({"checkout_id": "another", "decision": "approved"}, "about another checkout: another"),
        ({"decision": "approved"}, "not a valid FraudDecision"),
        ("approved", "not a valid FraudDecision"),
    ],
)
async def test_a_decision_that_is_none_is_noted(
    world: World, unique: str, payload: object, reason: str
) -> None:
    """What cannot be used decides nothing, breaks nothing, and is shown."""
    handle = await check_out(world, unique)
    if isinstance(payload, dict) and payload.get("checkout_id") == "?":
        payload = {**payload, "checkout_id": unique}
    await handle.signal("fraudDecision", payload)

    async def noted() -> bool:
        return bool((await snapshot_of(handle)).signal_failures)

    await until(noted)
    assert (await snapshot_of(handle)).signal_failures[0].reason.startswith(reason)
    await decide(handle, "approved")
    assert await handle.result() == "COMPLETED"


async def test_a_second_start_finds_the_first(world: World, unique: str) -> None:
    """One checkout id, one workflow, running or closed."""
    handle = await check_out(world, unique)
    await decide(handle, "approved")
    await handle.result()
    with pytest.raises(WorkflowAlreadyStartedError):
        await check_out(world, unique)


async def test_an_order_that_had_been_started_is_the_one(world: World, unique: str) -> None:
    """Where ``order-{order_id}`` runs already, the checkout completes and starts no other."""
    order_id = order_of(unique)
    await world.client.start_workflow(
        "OrderWorkflow", {"order_id": order_id}, id=f"order-{order_id}", task_queue="nobody-serves-it"
    )
    handle = await check_out(world, unique)
    await decide(handle, "approved")
    assert await handle.result() == "COMPLETED"


async def test_a_request_that_cannot_be_read_fails(world: World, unique: str) -> None:
    """Nothing is asked of anybody for something that is no checkout."""
    handle = await world.client.start_workflow(
        "CheckoutWorkflow", {"checkout_id": unique}, id=f"checkout-{unique}", task_queue="order-processing"
    )
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == "InvalidOrderError"


@pytest.mark.parametrize("reviewed", [False, True])
async def test_cancelled_in_temporal_before_it_is_approved(world: World, unique: str, reviewed: bool) -> None:
    """Undone, recorded as CANCELLED with the reason given, and closed as cancelled."""
    handle = await check_out(world, unique)
    await at(handle, "AWAITING_FRAUD_DECISION")
    if reviewed:
        await decide(handle, "review")
        await at(handle, "AWAITING_MANUAL_REVIEW")
    await handle.cancel(reason="customer left")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert done(world, unique) == [*FORWARD, *UNDONE, "RejectCheckout"]
    assert (rejection(world, unique).code, rejection(world, unique).reason) == ("CANCELLED", "customer left")


async def test_cancelled_in_temporal_after_it_was_approved(world: World, unique: str) -> None:
    """Too late: the order has begun, and is cancelled as an order."""
    held = world.contexts.hold(order_of(unique), contracts.COMPLETE_CHECKOUT)
    handle = await check_out(world, unique)
    await decide(handle, "approved")
    await asked(world.contexts, order_of(unique), contracts.COMPLETE_CHECKOUT)
    await handle.cancel()
    held.set()
    assert await handle.result() == "COMPLETED"
    assert done(world, unique) == [*FORWARD, "CompleteCheckout"]


async def test_what_a_service_refuses_for_good_is_seen(world: World, unique: str) -> None:
    """The rest is undone and recorded, and the workflow fails so that a person looks at it."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(order_of(unique), contracts.WITHDRAW_ORDER, refuse)
    handle = await check_out(world, unique)
    await decide(handle, "rejected")
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == "CompensationRefusedError"
    assert done(world, unique) == [*FORWARD, "VoidAuthorization", "RejectCheckout"]
