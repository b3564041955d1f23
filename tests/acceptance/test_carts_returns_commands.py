"""``tidegate carts``, ``tidegate returns`` and ``tidegate simulate returns``, as a user starts them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest_asyncio

from infra.local import Stack
from schemas.events import ReturnApproved, ReturnLine
from services.ims import StockRow
from tests.acceptance.test_simulate_commands import produce
from tests.command_support import Workplace, workplace
from tests.return_support import Handle, begin_return, inspected, return_reached
from tests.returned_goods import Goods, open_goods
from tests.waiting import until
from tests.workflow_support import World, new_namespace
from workflows.worker import build_worker


@dataclass(frozen=True, slots=True)
class Shop:
    """Commands, the services on their database, and workers in a namespace of their own."""

    place: Workplace
    goods: Goods
    world: World


@pytest_asyncio.fixture(loop_scope="session")
async def shop(stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str) -> AsyncIterator[Shop]:
    """A shop with bolts on the shelf."""
    async with (
        workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as place,
        open_goods(postgres_dsn) as goods,
        new_namespace(stack.addresses.temporal_address or "") as world,
        contextlib.AsyncExitStack() as workers,
    ):
        place.environment["TIDEGATE_TEMPORAL__NAMESPACE"] = world.client.namespace
        await goods.stock(StockRow("bolt", 100), StockRow("nut", 100))
        for queue in ("order-processing", "CART_TASK_QUEUE"):
            await workers.enter_async_context(build_worker(world.client, queue, strict=True))
        for queue in ("oms", "ims", "sms", "payments"):
            await workers.enter_async_context(
                build_worker(world.client, queue, activities=goods.activities(queue))
            )
        yield Shop(place, goods, world)


async def test_a_cart_from_its_first_item_to_its_checkout(shop: Shop, unique: str) -> None:
    """Filled in several sessions, refused in one line, shown as text and JSON, bought once."""
    tidegate, cart = shop.place.tidegate, f"c-{unique}"
    bad = await tidegate("carts", "set", cart, "bolt", 1, "--price", "-1")
    assert (bad.status, "unit_price must be from 0" in bad.err) == (2, True)
    missing = await tidegate("carts", "show", cart)
    assert (missing.status, missing.out) == (2, ""), "what breaks a rule begins no cart"
    assert "tidegate carts set" in missing.err

    words = ("--price", "249.00", "--customer", "c-7", "--json")
    first = await tidegate("carts", "set", cart, "bolt", 2, *words, "--update-id", "first")
    assert first.data["total"] == "498.00"
    await tidegate("carts", "set", cart, "nut", 1, "--price", "0.5")
    again = await tidegate("carts", "set", cart, "bolt", 2, *words, "--update-id", "first")
    assert again.data == first.data, "the same change again has the answer that it had"
    removed = await tidegate("carts", "remove", cart, "nut", "--json")
    assert removed.data["pieces"] == 2

    refused = await tidegate("carts", "set", cart, "bolt", 1, "--price", "1", "--currency", "USD")
    assert refused.status == 1
    assert refused.err == f"tidegate: cart {cart}: the cart's prices are in EUR, not in USD\n"
    shown = await tidegate("carts", "show", cart)
    assert "OPEN" in shown.out
    assert "bolt" in shown.out

    bought = [await tidegate("carts", "checkout", cart, "--payment-token", "tok", "--json") for _ in range(2)]
    assert {answer.data["state"] for answer in bought} == {"CHECKED_OUT"}
    assert len({answer.data["checkout_id"] for answer in bought}) == 1
    over = await tidegate("carts", "set", cart, "bolt", 1, "--price", "1")
    assert over.status == 1
    assert "is CHECKED_OUT and takes no more changes" in over.err
    names = await shop.goods.database.names()
    assert (names.count("CartCheckedOut"), names.count("CheckoutRequested")) == (1, 1)


async def test_a_return_is_asked_for_and_followed(shop: Shop, unique: str) -> None:
    """Requested once under its id, listed, shown with its step, and completed with its refund."""
    tidegate = shop.place.tidegate
    order_id = await shop.goods.sold(unique)
    words = ("returns", "request", order_id, "--line", "bolt=2", "--return-id", unique, "--json")
    for _ in range(2):
        asked = await tidegate(*words)
        assert asked.data == {"return_id": unique, "order_id": order_id, "state": "REQUESTED"}
    other = await tidegate("returns", "request", order_id, "--line", "bolt=1", "--return-id", unique)
    assert (other.status, "other content" in other.err) == (2, True)
    bad = await tidegate("returns", "request", order_id, "--line", "bolt=x")
    assert (bad.status, bad.err) == (2, "tidegate: --line bolt=x: it must be SKU=QTY, say DESK=1\n")
    waiting = await tidegate("returns", "show", unique, "--json")
    assert waiting.data["step"] == "unknown: no such workflow yet"

    handle: Handle = await begin_return(shop.world, order_id, unique)

    await return_reached(handle, "WAITING_FOR_PARCEL")
    shown = await tidegate("returns", "show", unique)
    assert "waiting for ReturnReceived until" in shown.out
    await inspected(shop.world, handle, order_id, [{"sku": "bolt", "quantity": 2, "disposition": "restock"}])
    assert await handle.result() == "COMPLETED"
    listed = await tidegate("returns", "list", "--state", "COMPLETED", "--order", order_id, "--json")
    (row,) = listed.data["returns"]
    assert (row["return_id"], row["refunded"]) == (unique, "2.22")


async def test_the_desk_reports_what_was_approved(
    stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str, unique: str
) -> None:
    """Killed in the middle and started again: each parcel received and inspected, once, in order."""
    async with workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as place:
        ids = [f"{unique}-{number}" for number in range(60)]
        await produce(place, [_approved(one) for one in ids])
        words = ("simulate", "returns", "--delay", "0.8", "--seed", "3", "--group-prefix", f"{unique}-")
        first = await place.start(*words)
        try:
            await until(lambda: _reported(place, unique, 20))
        finally:
            first.kill()
            await first.wait()
        second = await place.start(*words)
        try:
            await until(lambda: _reported(place, unique, 120))
        finally:
            second.send_signal(signal.SIGTERM)
            await asyncio.wait_for(second.communicate(), 60)
        by_return: dict[str, list[tuple[str, int]]] = {}
        for row in await _reports(place, unique):
            by_return.setdefault(row["subject"], []).append((row["type"].rpartition(".")[2], row["sequence"]))
        assert by_return == {one: [("ReturnReceived", 1), ("ReturnInspected", 2)] for one in ids}


def _approved(return_id: str) -> ReturnApproved:
    return ReturnApproved(
        return_id=return_id,
        order_id=f"order-of-{return_id}",
        tracking_number="T",
        approved_at=datetime(2026, 11, 21, tzinfo=UTC),
        lines=(ReturnLine(sku="bolt", quantity=1),),
    )


async def _reports(place: Workplace, prefix: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"])
    try:
        return await connection.fetch(
            "SELECT type, subject, sequence FROM outbox.events WHERE source = '/upstream/returns'"
            " AND subject LIKE $1 || '%' ORDER BY id",
            prefix,
        )
    finally:
        await connection.close()


async def _reported(place: Workplace, prefix: str, number: int) -> bool:
    return len(await _reports(place, prefix)) >= number
