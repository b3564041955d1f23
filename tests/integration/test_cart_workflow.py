"""The workflow of a cart: validated updates, sessions, concurrency, continue-as-new, abandonment, hand-over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from infra.ids import derived_id, order_id_of
from tests.return_support import Handle, buy, cart_handle, cart_snapshot, put, update
from tests.skipping import SkippingServers
from tests.waiting import until
from tests.workflow_support import World, asked, illegal, real_world, skipping_world
from workflows import policies
from workflows.activities.contracts import cart as contracts
from workflows.cart_contents import REMEMBERED_UPDATES
from workflows.contracts.cart import (
    CART_REFUSED,
    CHECK_OUT,
    REMOVE_ITEM,
    SET_ITEM,
    CheckOut,
    RemoveItem,
    SetItem,
)

BOLTS = SetItem("bolt", 2, "1.50", "0.1")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def clock(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped; every test closes what it opens."""
    async with skipping_world(skipping_servers) as running:
        yield running


async def _events(handle: Handle) -> list[str]:
    return [event.WhichOneof("attributes") or "" for event in (await handle.fetch_history()).events]


async def _refused(work: Any) -> str:
    """What the cart says that refuses ``work``."""
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await work
    cause = failure.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == CART_REFUSED
    return cause.message


# --- Changes ------------------------------------------------------------------------------------------


async def test_a_cart_is_filled_and_bought(world: World, unique: str) -> None:
    """The first item starts it; each change answers with the whole cart; the hand-over carries every line."""
    first = await put(world, unique, BOLTS)
    assert (first.state, first.pieces, first.total) == ("OPEN", 2, "2.70")
    await put(world, unique, SetItem("nut", 5, "0.20"))
    handle = cart_handle(world, unique)
    await update(handle, SET_ITEM, SetItem("bolt", 3, "1.50"))
    await update(handle, REMOVE_ITEM, RemoveItem("nut"))
    last = await update(handle, SET_ITEM, SetItem("washer", 1, "0.01"))
    assert [(line.sku, line.quantity) for line in last.lines] == [("bolt", 3), ("washer", 1)]
    assert last.total == "4.51"
    bought = await buy(handle)
    assert bought.state == "CHECKED_OUT"
    assert bought.checkout_id == str(derived_id("checkout", unique))
    assert bought.order_id == order_id_of(f"cart-{unique}")
    assert await handle.result() == "CHECKED_OUT"
    ((name, handed),) = world.contexts.arguments[unique]
    assert name == "HandOverCart"
    assert [(line.sku, line.quantity, line.unit_price) for line in handed.lines] == [
        ("bolt", 3, "1.50"),
        ("washer", 1, "0.01"),
    ]
    assert (handed.customer_id, handed.currency, handed.payment_token) == ("customer-1", "EUR", "token-1")


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (SetItem("bolt", 0, "1.50"), "quantity must be from 1"),
        (SetItem("bolt", -1, "1.50"), "quantity must be from 1"),
        (SetItem("bolt", 1, "-0.01"), "unit_price must be from 0"),
        (SetItem("bolt", 1, "0.001"), "more than 2 decimals"),
        (SetItem("bolt", 1, "cheap"), "must be decimal numbers"),
        (SetItem("bolt", 1, "NaN"), "unit_price must be from 0"),
        (SetItem("bolt", 1, "1", "1.1"), "discount must be a fraction"),
        (SetItem("", 1, "1"), "sku is empty"),
        (SetItem("bolt", 1, "1", currency="USD"), "prices are in EUR"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_change_that_breaks_a_rule_is_never_in_the_history(
    world: World, unique: str, item: SetItem, reason: str
) -> None:
    """Refused with the reason, before it is accepted; the cart is as it was."""
    await put(world, unique, BOLTS)
    handle = cart_handle(world, unique)
    before = await cart_snapshot(handle)
    assert reason in await _refused(update(handle, SET_ITEM, item))
    assert await cart_snapshot(handle) == before
    assert (await _events(handle)).count("workflow_execution_update_accepted_event_attributes") == 1
    await handle.terminate()


async def test_an_update_that_cannot_be_read_harms_nothing(world: World, unique: str) -> None:
    """No argument, another type, a field missing: refused, and the cart goes on."""
    await put(world, unique, BOLTS)
    handle = cart_handle(world, unique)
    bad: list[list[Any]] = [
        [],
        ["bolt"],
        [{"sku": "bolt"}],
        [{"sku": "bolt", "quantity": "two", "unit_price": "1"}],
    ]
    for arguments in bad:
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(SET_ITEM.name, args=arguments)
    assert (await buy(handle)).state == "CHECKED_OUT"


async def test_a_cart_holds_a_hundred_different_items(world: World, unique: str) -> None:
    """The hundred and first is refused, also when all come at once; one that is there may still be changed."""
    await put(world, unique, SetItem("sku-0", 1, "1"))
    handle = cart_handle(world, unique)
    limit = asyncio.Semaphore(8)  # the server takes ten updates of a workflow at once

    async def add(number: int) -> bool:
        async with limit:
            try:
                await update(handle, SET_ITEM, SetItem(f"sku-{number}", 1, "1"))
            except WorkflowUpdateFailedError:
                return False
            return True

    taken = await asyncio.gather(*(add(number) for number in range(1, 111)))
    assert taken.count(True) == 99
    assert (await cart_snapshot(handle)).pieces == 100
    assert "at most 100 different items" in await _refused(update(handle, SET_ITEM, SetItem("more", 1, "1")))
    assert (await update(handle, SET_ITEM, SetItem("sku-0", 7, "1"))).pieces == 106
    await handle.terminate()


async def test_the_same_update_twice_is_one(world: World, unique: str) -> None:
    """By its id: a repeat that comes after another change does not undo that."""
    await put(world, unique, BOLTS, update_id="first")
    await put(world, unique, SetItem("bolt", 5, "1.50"), update_id="second")
    await put(world, unique, BOLTS, update_id="first")
    handle = cart_handle(world, unique)
    assert (await cart_snapshot(handle)).pieces == 5
    await handle.terminate()


# --- Sessions and runs --------------------------------------------------------------------------------


async def test_no_update_is_lost_or_doubled_when_a_run_ends(world: World, unique: str) -> None:
    """240 changes from eight sessions at once, a new run after every 10: each is there, once, as last said."""
    await put(world, unique, SetItem("s-0-0", 1, "1.00"), updates_per_run=10)
    handle = cart_handle(world, unique)
    first = (await handle.describe()).run_id
    made: list[tuple[str, str]] = []

    async def session(number: int) -> None:
        for change in range(30):
            sku = f"s-{number}-{change % 10}"
            await put(world, unique, SetItem(sku, 1 + change, "1.00"), update_id=f"{number}-{change}")
            made.append((sku, f"{number}-{change}"))

    await asyncio.gather(*(session(number) for number in range(8)))
    snapshot = await cart_snapshot(handle)
    assert {line.sku: line.quantity for line in snapshot.lines} == {
        f"s-{number}-{item}": 21 + item for number in range(8) for item in range(10)
    }
    assert (await handle.describe()).run_id != first, "the cart has gone through new runs"
    sku, update_id = made[-REMEMBERED_UPDATES // 2]  # several runs ago, and not yet forgotten
    await put(world, unique, SetItem(sku, 999, "1.00"), update_id=update_id)
    assert (await cart_snapshot(handle)).lines == snapshot.lines, (
        "an update of an earlier run changes nothing"
    )
    assert (await buy(handle)).pieces == snapshot.pieces
    ((_, handed),) = world.contexts.arguments[unique]
    assert len(handed.lines) == 80


async def test_a_hand_over_under_way_is_not_cut_off_by_a_new_run(world: World, unique: str) -> None:
    """The run is full while OMS is slow: it ends as bought, and the cart is handed over once."""
    gate = asyncio.Event()

    async def hold(_: object) -> str:
        await gate.wait()
        return "checkout"

    world.contexts.answer(unique, contracts.HAND_OVER_CART, hold)
    await put(world, unique, BOLTS, updates_per_run=2)
    handle = cart_handle(world, unique)
    buying = asyncio.create_task(buy(handle))
    await asked(world.contexts, unique, contracts.HAND_OVER_CART)
    gate.set()
    assert (await buying).state == "CHECKED_OUT"
    assert await handle.result() == "CHECKED_OUT"
    assert world.contexts.effects(unique) == ["HandOverCart"]


# --- Buying -------------------------------------------------------------------------------------------


async def test_an_empty_cart_cannot_be_bought(world: World, unique: str) -> None:
    """Nor one without a token; nothing is asked of OMS."""
    await put(world, unique, BOLTS)
    handle = cart_handle(world, unique)
    assert "payment_token" in await _refused(update(handle, CHECK_OUT, CheckOut(" ")))
    await update(handle, REMOVE_ITEM, RemoveItem("bolt"))
    assert await _refused(buy(handle)) == "the cart is empty"
    assert world.contexts.effects(unique) == []
    await handle.terminate()


async def test_asked_at_once_it_is_bought_once(world: World, unique: str) -> None:
    """Eight clicks: one hand-over; what lies in the cart no longer changes from the first click on."""
    gate = asyncio.Event()

    async def hold(_: object) -> str:
        await gate.wait()
        return "checkout"

    world.contexts.answer(unique, contracts.HAND_OVER_CART, hold)
    await put(world, unique, BOLTS)
    handle = cart_handle(world, unique)
    clicks = [asyncio.create_task(buy(handle)) for _ in range(8)]
    await asked(world.contexts, unique, contracts.HAND_OVER_CART)
    assert "is CHECKING_OUT" in await _refused(update(handle, SET_ITEM, SetItem("nut", 1, "1")))
    assert "is CHECKING_OUT" in await _refused(update(handle, REMOVE_ITEM, RemoveItem("bolt")))
    gate.set()
    assert {answer.state for answer in await asyncio.gather(*clicks)} == {"CHECKED_OUT"}
    assert world.contexts.effects(unique) == ["HandOverCart"]


async def test_a_cart_that_was_bought_is_over(world: World, unique: str) -> None:
    """No change finds it, and no second cart begins under its id; the same checkOut again has its answer."""
    await put(world, unique, BOLTS)
    handle = cart_handle(world, unique)
    bought = await buy(handle, "click")
    await handle.result()
    assert await buy(handle, "click") == bought
    with pytest.raises(RPCError) as missing:
        await update(handle, SET_ITEM, BOLTS)
    assert missing.value.status is RPCStatusCode.NOT_FOUND
    with pytest.raises(WorkflowAlreadyStartedError):
        await put(world, unique, BOLTS)
    assert (await cart_snapshot(handle)).state == "CHECKED_OUT"


async def test_a_hand_over_that_is_refused_for_good(world: World, unique: str) -> None:
    """The customer is told why, and the cart is open again."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(unique, contracts.HAND_OVER_CART, refuse)
    await put(world, unique, BOLTS)
    handle = cart_handle(world, unique)
    assert "no such transition" in await _refused(buy(handle))
    assert (await update(handle, SET_ITEM, SetItem("nut", 1, "1"))).state == "OPEN"
    await handle.terminate()


async def test_a_hand_over_whose_attempts_are_used_up(clock: World, unique: str) -> None:
    """It may have happened: the lines stay as they are, checkOut may be asked again, and then it is bought."""
    tries = 0

    def away(_: object) -> str:
        nonlocal tries
        tries += 1
        if tries <= 3:
            raise RuntimeError("away")
        return "checkout"

    clock.contexts.answer(unique, contracts.HAND_OVER_CART, away)
    await put(clock, unique, BOLTS)
    handle = cart_handle(clock, unique)
    buying = asyncio.create_task(buy(handle))
    await asked(clock.contexts, unique, contracts.HAND_OVER_CART)
    await clock.environment.sleep(timedelta(seconds=10))
    with pytest.raises(WorkflowUpdateFailedError) as failure:
        await buying
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == "HandOverFailedError"
    assert tries == 3, "standard: three attempts"
    frozen = await cart_snapshot(handle)
    assert frozen.state == "CHECKING_OUT"
    assert "HandOverCart" in (frozen.blocking_reason or "")
    assert "is CHECKING_OUT" in await _refused(update(handle, SET_ITEM, SetItem("nut", 1, "1")))
    assert (await buy(handle)).state == "CHECKED_OUT"


# --- Idle carts ---------------------------------------------------------------------------------------


async def test_an_idle_cart_is_given_up(clock: World, unique: str) -> None:
    """After 7 days without a change, and not before: a change in between begins them anew, a refused one does not."""
    began = await clock.environment.get_current_time()
    start = put(clock, unique, BOLTS)
    assert (await start).state == "OPEN"
    handle = cart_handle(clock, unique)
    await clock.environment.sleep(timedelta(days=6))
    touched = await update(handle, SET_ITEM, SetItem("nut", 5, "1"))
    await clock.environment.sleep(timedelta(days=6))
    await _refused(update(handle, SET_ITEM, SetItem("nut", 0, "1")))
    snapshot = await cart_snapshot(handle)
    assert (snapshot.state, snapshot.idle_until) == ("OPEN", touched.idle_until)
    await clock.environment.sleep(timedelta(days=1, minutes=1))
    assert await handle.result() == "ABANDONED"
    assert await clock.environment.get_current_time() - began >= timedelta(days=13)
    ((name, idle),) = clock.contexts.arguments[unique]
    assert (name, idle.pieces, idle.customer_id) == ("AbandonCart", 7, "customer-1")


async def test_oms_is_away_when_a_cart_is_given_up(clock: World, unique: str) -> None:
    """It is given up when OMS is back, however long that takes; until then it takes no change."""
    tries = 0

    def away(_: object) -> str:
        nonlocal tries
        tries += 1
        if tries <= 10:
            raise RuntimeError("away")
        return "ABANDONED"

    clock.contexts.answer(unique, contracts.ABANDON_CART, away)
    await put(clock, unique, BOLTS)
    handle = cart_handle(clock, unique)
    await clock.environment.sleep(timedelta(days=7, seconds=30))
    assert "was given up" in await _refused(update(handle, SET_ITEM, BOLTS))
    assert "AbandonCart" in ((await cart_snapshot(handle)).blocking_reason or "")
    await clock.environment.sleep(timedelta(hours=1))
    assert await handle.result() == "ABANDONED"
    assert tries == 11


async def test_an_idle_cart_turns_out_to_be_bought(clock: World, unique: str) -> None:
    """The answer of its hand-over was lost and nobody asked again: given up, it is what it is."""

    def lost(_: object) -> str:
        raise RuntimeError("the answer is lost")

    clock.contexts.answer(unique, contracts.HAND_OVER_CART, lost)
    clock.contexts.answer(unique, contracts.ABANDON_CART, lambda _: "CHECKED_OUT")
    await put(clock, unique, BOLTS)
    handle = cart_handle(clock, unique)
    buying = asyncio.create_task(buy(handle))
    await asked(clock.contexts, unique, contracts.HAND_OVER_CART)
    await clock.environment.sleep(timedelta(seconds=10))
    with pytest.raises(WorkflowUpdateFailedError):
        await buying
    await clock.environment.sleep(timedelta(days=7, minutes=1))
    assert await handle.result() == "CHECKED_OUT"


async def test_a_purchase_that_comes_after_the_abandonment(
    world: World, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OMS was slow, the cart's clock ran out, and the abandonment came first: refused, and it stays given up.

    Open again it would take changes that nobody can buy, and be given up a second time.
    """
    monkeypatch.setattr(policies, "CART_IDLE_CLOCK", timedelta(seconds=4))
    let_go = asyncio.Event()

    async def too_late(_: object) -> str:
        await let_go.wait()
        raise illegal()

    world.contexts.answer(unique, contracts.HAND_OVER_CART, too_late)
    await put(world, unique, BOLTS)
    handle = cart_handle(world, unique)
    buying = asyncio.create_task(buy(handle))
    await asked(world.contexts, unique, contracts.ABANDON_CART)
    let_go.set()
    assert "not bought" in await _refused(buying)
    assert await handle.result() == "ABANDONED"
    assert world.contexts.effects(unique) == ["AbandonCart"]
    assert (await cart_snapshot(handle)).state == "ABANDONED"


async def test_the_idle_clock_goes_through_a_new_run(clock: World, unique: str) -> None:
    """A new run neither lengthens nor shortens the 7 days."""
    until_when = (await put(clock, unique, BOLTS, updates_per_run=1)).idle_until
    handle = cart_handle(clock, unique)

    async def is_new() -> bool:
        events = await clock.client.get_workflow_handle(handle.id).fetch_history()
        return bool(events.events[0].workflow_execution_started_event_attributes.continued_execution_run_id)

    await until(is_new)
    assert (await cart_snapshot(handle)).idle_until == until_when
    await clock.environment.sleep(timedelta(days=6, hours=23))
    snapshot = await cart_snapshot(handle)
    assert (snapshot.state, snapshot.idle_until) == ("OPEN", until_when)
    await clock.environment.sleep(timedelta(hours=2))
    assert await handle.result() == "ABANDONED"
