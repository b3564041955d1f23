"""The clocks of a checkout: 15 minutes as a timer inside, 24 hours of its own for a manual review; and its retries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from temporalio.exceptions import ApplicationError

from tests.checkout_support import (
    FORWARD,
    UNDONE,
    at,
    check_out,
    decide,
    order_of,
    review,
    snapshot_of,
)
from tests.skipping import SkippingServers
from tests.waiting import until
from tests.workflow_support import World, asked, every_activity, real_world, skipping_world
from workflows import policies
from workflows.activities.contracts.checkout import CheckoutExpiry

MINUTES_15 = timedelta(minutes=15)


@pytest_asyncio.fixture(loop_scope="session")
async def clock(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped, for one test."""
    async with skipping_world(skipping_servers) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


def expiry(world: World, checkout_id: str) -> CheckoutExpiry:
    """What the checkouts were told of the end of a checkout."""
    asked_for = world.contexts.arguments[order_of(checkout_id)]
    (told,) = [argument for name, argument in asked_for if name == "ExpireCheckout"]
    found: CheckoutExpiry = told
    return found


async def test_no_decision_within_15_minutes(clock: World, unique: str) -> None:
    """The timer inside voids the authorisation, gives up the order and says what did not come."""
    handle = await check_out(clock, unique)
    began = await clock.environment.get_current_time()
    await clock.environment.sleep(timedelta(minutes=14))
    waiting = await at(handle, "AWAITING_FRAUD_DECISION")
    assert waiting.deadline is not None
    assert datetime.fromisoformat(waiting.deadline) - began <= MINUTES_15 + timedelta(seconds=30)
    assert await handle.result() == "EXPIRED"
    assert clock.contexts.effects(order_of(unique)) == [*FORWARD, *UNDONE, "ExpireCheckout"]
    assert expiry(clock, unique) == CheckoutExpiry(unique, order_of(unique), "fraudDecision")
    timers = [
        event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta()
        for event in (await handle.fetch_history()).events
        if event.HasField("timer_started_event_attributes")
    ]
    assert timers == [MINUTES_15]


@pytest.mark.parametrize("decision", ["approved", "rejected"])
async def test_a_review_stops_the_clock_and_has_its_own(clock: World, unique: str, decision: str) -> None:
    """Asked for in the 14th minute, decided in the 24th hour: the checkout is then as good as a quick one."""
    handle = await check_out(clock, unique)
    await clock.environment.sleep(timedelta(minutes=14))
    await decide(handle, "review")
    waiting = await at(handle, "AWAITING_MANUAL_REVIEW")
    assert waiting.deadline is not None
    left = datetime.fromisoformat(waiting.deadline) - await clock.environment.get_current_time()
    assert timedelta(hours=23, minutes=59) < left <= timedelta(hours=24)
    await clock.environment.sleep(timedelta(hours=23, minutes=50))
    assert (await snapshot_of(handle)).state == "AWAITING_MANUAL_REVIEW"
    await review(handle, decision)
    assert await handle.result() == {"approved": "COMPLETED", "rejected": "REJECTED"}[decision]


async def test_no_decision_by_hand_within_24_hours(clock: World, unique: str) -> None:
    """A review that nobody decides is given up like a check that nobody decides."""
    handle = await check_out(clock, unique)
    await decide(handle, "review")
    before = await clock.environment.get_current_time()
    assert await handle.result() == "EXPIRED"
    assert await clock.environment.get_current_time() - before >= timedelta(hours=23, minutes=59)
    assert clock.contexts.effects(order_of(unique)) == [*FORWARD, *UNDONE, "ExpireCheckout"]
    assert expiry(clock, unique).waited_for == "manualReviewDecision"


async def test_steps_are_tried_seven_times(clock: World, unique: str) -> None:
    """A step forward has 7 attempts; then the checkout is undone and rejected, without the error's words."""

    def away(_: object) -> None:
        raise ConnectionError("INSERT … customer-1 …")

    for step in FORWARD:
        checkout_id = f"{unique}-{step}"
        clock.contexts.answer(order_of(checkout_id), every_activity()[step], away)
        handle = await check_out(clock, checkout_id)
        assert await handle.result() == "REJECTED"
        tried = [name for name, _ in clock.contexts.arguments[order_of(checkout_id)]]
        assert tried.count(step) == 7, step
        snapshot = await snapshot_of(handle)
        assert (snapshot.code, snapshot.reason) == (
            "UNAVAILABLE",
            f"{step} did not succeed: ConnectionError",
        )


@pytest.mark.parametrize(
    ("step", "kind", "code"),
    [
        ("ValidateCheckout", "InvalidOrderError", "INVALID"),
        ("AuthorizePayment", "InsufficientFundsError", "DECLINED"),
        ("AuthorizePayment", "CardDeclinedError", "DECLINED"),
        ("CreateOrder", "IllegalTransitionError", "INVALID"),
    ],
)
async def test_what_is_refused_is_not_tried_again(
    world: World, unique: str, step: str, kind: str, code: str
) -> None:
    """An invalid checkout and a declined card end at the first attempt; the reason is the service's own."""

    def refuse(_: object) -> None:
        raise ApplicationError("no, because", type=kind)

    world.contexts.answer(order_of(unique), every_activity()[step], refuse)
    handle = await check_out(world, unique)
    assert await handle.result() == "REJECTED"
    before = FORWARD[: FORWARD.index(step)]
    undone = {"ValidateCheckout": [], "AuthorizePayment": ["VoidAuthorization"]}.get(step, UNDONE)
    assert world.contexts.effects(order_of(unique)) == [*before, *undone, "RejectCheckout"]
    assert [name for name, _ in world.contexts.arguments[order_of(unique)]].count(step) == 1
    snapshot = await snapshot_of(handle)
    assert (snapshot.code, snapshot.reason) == (code, "no, because")


@pytest.mark.parametrize("step", FORWARD)
async def test_the_clock_runs_out_during_a_step(
    world: World, unique: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The attempt under way is let finish, no other follows, and what it has done is undone."""
    monkeypatch.setattr(policies, "CHECKOUT_CLOCK", timedelta(seconds=2))
    held = world.contexts.hold(order_of(unique), every_activity()[step])
    handle = await check_out(world, unique)
    await decide(handle, "approved")
    await asked(world.contexts, order_of(unique), every_activity()[step])

    async def clock_has_run_out() -> bool:
        return (await snapshot_of(handle)).reason == "no fraudDecision in time"

    await until(clock_has_run_out)
    held.set()
    assert await handle.result() == "EXPIRED"
    done = FORWARD[: FORWARD.index(step) + 1]
    undone = {"ValidateCheckout": [], "AuthorizePayment": ["VoidAuthorization"]}.get(step, UNDONE)
    assert world.contexts.effects(order_of(unique)) == [*done, *undone, "ExpireCheckout"]
