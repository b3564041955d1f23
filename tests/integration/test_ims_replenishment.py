"""IMS on a real PostgreSQL: lots, deliveries, cycles, and an item that is discontinued while orders wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import text

import outbox
from infra.errors import InvalidInputError
from infra.local import Component
from schemas.events import AllocationFailed, ReplenishmentOrdered, StockBelowReorderPoint
from services.errors import IllegalTransitionError, UnknownItemError
from services.ims import MIGRATIONS, Ims, StockRow
from tests.services_support import Database, migrated
from tests.stack import SessionStack, fresh_database


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tables(servers: SessionStack) -> AsyncIterator[Database]:
    """A database with the services' tables, for the tests of this module."""
    dsn = (await servers.having(Component.POSTGRES)).postgres_dsn
    assert dsn is not None
    async with fresh_database(dsn) as fresh, migrated(fresh, (outbox.MIGRATIONS, MIGRATIONS)) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def database(tables: Database) -> Database:
    """The same without a row in it."""
    async with tables.engine.begin() as connection:
        await connection.execute(
            text("TRUNCATE ims.items, ims.reservations, ims.loads, outbox.events RESTART IDENTITY CASCADE")
        )
    return tables


@pytest.fixture
def ims(database: Database) -> Ims:
    """IMS."""
    return Ims(database.sessions, database.outbox)


async def notices(database: Database, sku: str) -> list[tuple[int, int]]:
    """Cycle and free pieces of each StockBelowReorderPoint."""
    return [
        (one.event.cycle, one.event.available)
        for one in await database.published(subject=sku)
        if isinstance(one.event, StockBelowReorderPoint)
    ]


async def test_a_lot_covers_who_waits_and_fills_to_twice_the_reorder_point(
    ims: Ims, database: Database
) -> None:
    """Kits count by what they are made of; asked again, the lot stands and is published once."""
    await ims.load("l", [StockRow("LEG", 10, 20), StockRow("DESK", 0, 0, (("LEG", 4),))])
    assert (await ims.allocate("o-1", [("DESK", 5)])).status == "WAITING"
    assert await notices(database, "LEG") == [(1, 10)], "noticed when it was loaded; once for the cycle"
    for _ in range(2):
        assert await ims.order_replenishment("LEG", 1) == 10 + 2 * 20
    (item,) = await ims.stock("LEG")
    assert item.on_order == 50
    ordered = [one for one in await database.published(subject="LEG") if one.name == "ReplenishmentOrdered"]
    assert len(ordered) == 1
    assert isinstance(ordered[0].event, ReplenishmentOrdered)
    assert (ordered[0].event.cycle, ordered[0].event.quantity, ordered[0].sequence) == (1, 50, 2)


async def test_a_delivery_is_booked_once_and_serves_who_came_first(ims: Ims, database: Database) -> None:
    """The same delivery again, also at once and with another quantity, adds nothing."""
    await ims.load("l", [StockRow("A", 0)])
    for number in range(3):
        assert (await ims.allocate(f"o-{number}", [("A", 2)])).status == "WAITING"
    assert await notices(database, "A") == [(1, -2)]
    assert await ims.order_replenishment("A", 1) == 6
    received = await asyncio.gather(*(ims.receive_replenishment("A", 1, 6) for _ in range(4)))
    assert sorted(received, key=len) == [(), (), (), ("o-0", "o-1", "o-2")]
    assert await ims.receive_replenishment("A", 1, 99) == ()
    (item,) = await ims.stock("A")
    assert (item.received, item.reserved, item.on_order, item.awaited) == (6, 6, 0, 0)
    assert await notices(database, "A") == [(1, -2)]


async def test_a_short_delivery_opens_the_next_cycle(ims: Ims, database: Database) -> None:
    """What came serves who came first; the rest is ordered anew, and what was owed is owed no more."""
    await ims.load("l", [StockRow("A", 0)])
    for number in range(3):
        await ims.allocate(f"o-{number}", [("A", 2)])
    assert await ims.order_replenishment("A", 1) == 6
    assert await ims.receive_replenishment("A", 1, 3) == ("o-0",)
    assert await notices(database, "A") == [(1, -2), (2, -3)]
    assert await ims.order_replenishment("A", 2) == 3
    assert await ims.receive_replenishment("A", 2, 3) == ("o-1", "o-2")
    (item,) = await ims.stock("A")
    assert (item.on_hand, item.on_order) == (0, 0)


async def test_demand_that_comes_after_the_order_opens_the_next_cycle(ims: Ims, database: Database) -> None:
    """While a lot is on its way nothing more is noticed; when it was not enough, the next cycle begins."""
    await ims.load("l", [StockRow("A", 0)])
    await ims.allocate("o-1", [("A", 1)])
    await ims.order_replenishment("A", 1)
    await ims.allocate("o-2", [("A", 5)])
    assert await notices(database, "A") == [(1, -1)]
    await ims.receive_replenishment("A", 1, 1)
    assert await notices(database, "A") == [(1, -1), (2, -5)]


async def test_a_shortage_that_has_passed_orders_nothing(ims: Ims, database: Database) -> None:
    """Stock that came otherwise ends the cycle; a later shortage is a cycle of its own."""
    await ims.load("l", [StockRow("A", 0, 5)])
    await ims.load("l-2", [StockRow("A", 9, 5)])
    assert await ims.order_replenishment("A", 1) == 0
    await ims.allocate("o-1", [("A", 6)])
    assert await notices(database, "A") == [(1, 0), (2, 3)]
    assert await ims.order_replenishment("A", 1) == 0, "the earlier cycle is none of its business"
    assert await ims.order_replenishment("A", 2) == 7
    with pytest.raises(IllegalTransitionError):
        await ims.receive_replenishment("A", 1, 5)


async def test_what_is_on_its_way_is_not_ordered_twice(ims: Ims, database: Database) -> None:
    """A second shortage while a lot is on its way orders the difference, or nothing; then the lot decides."""
    await ims.load("l", [StockRow("A", 0, 5)])
    assert await ims.order_replenishment("A", 1) == 10
    await ims.load("l-2", [StockRow("A", 6, 5)])
    await ims.allocate("o-1", [("A", 2)])
    assert await notices(database, "A") == [(1, 0), (2, 4)]
    assert await ims.order_replenishment("A", 2) == 0
    await ims.allocate("o-2", [("A", 4)])
    assert await notices(database, "A") == [(1, 0), (2, 4)], "the lot of cycle 1 is still to come"
    await ims.receive_replenishment("A", 1, 1)
    assert await notices(database, "A") == [(1, 0), (2, 4), (3, 1)]
    assert await ims.order_replenishment("A", 3) == 9


async def test_a_reminder_says_the_order_once_more(ims: Ims, database: Database) -> None:
    """Once for each number, under the next version, with its number; none after the goods have come."""
    await ims.load("l", [StockRow("A", 0, 1)])
    await ims.order_replenishment("A", 1)
    for number in (1, 1, 2, 1):
        await ims.remind_supplier("A", 1, number)
    await ims.receive_replenishment("A", 1, 2)
    await ims.remind_supplier("A", 1, 3)
    said = [one for one in await database.published(subject="A") if one.name == "ReplenishmentOrdered"]
    assert [one.extensions.get("reminder") for one in said] == [None, "1", "2"]
    assert [one.sequence for one in said] == [2, 3, 4]
    assert len({one.event for one in said}) == 1


async def test_what_cannot_be_replenished_is_refused(ims: Ims) -> None:
    """An unknown item, a cycle that has not begun, no pieces, and a delivery that nobody ordered."""
    await ims.load("l", [StockRow("A", 0, 1)])
    with pytest.raises(UnknownItemError):
        await ims.order_replenishment("NOPE", 1)
    with pytest.raises(IllegalTransitionError):
        await ims.order_replenishment("A", 2)
    with pytest.raises(IllegalTransitionError):
        await ims.receive_replenishment("A", 1, 1)
    await ims.order_replenishment("A", 1)
    with pytest.raises(InvalidInputError):
        await ims.receive_replenishment("A", 1, 0)


async def test_orders_that_wait_for_a_discontinued_item_fail_at_once(ims: Ims, database: Database) -> None:
    """AllocationFailed with ``waited``; what they had a claim on goes to those behind them."""
    await ims.load("l", [StockRow("OLD", 0), StockRow("A", 3)])
    assert (await ims.allocate("vain", [("OLD", 1), ("A", 2)], "paid")).status == "WAITING"
    assert (await ims.allocate("behind", [("A", 2)])).status == "WAITING"
    assert await ims.discontinue("OLD") == ("vain",)
    assert await ims.discontinue("OLD") == ()
    (failed,) = await database.published(subject="vain")
    assert isinstance(failed.event, AllocationFailed)
    assert (failed.event.code, failed.event.skus) == ("DISCONTINUED", ("OLD",))
    assert failed.extensions == {"flow": "paid", "waited": "true"}
    again = await ims.allocate("vain", [("OLD", 1)])
    assert (again.status, again.reason) == ("FAILED", "no longer kept: OLD")
    await ims.release("vain")
    assert await database.names(subject="vain") == ["AllocationFailed"]
    behind = await ims.reservation("behind")
    assert behind is not None
    assert behind.state == "RESERVED", "its pieces were those that the failed order had a claim on"


async def test_pieces_that_are_there_still_go_to_who_came_first(ims: Ims) -> None:
    """An order that waits for something else keeps its claim on the last pieces of a discontinued item."""
    await ims.load("l", [StockRow("OLD", 1), StockRow("A", 0)])
    await ims.allocate("early", [("OLD", 1), ("A", 1)])
    await ims.allocate("late", [("OLD", 1)])
    assert await ims.discontinue("OLD") == ("late",)
    await ims.receive("r", "A", 1)
    early = await ims.reservation("early")
    assert early is not None
    assert early.state == "RESERVED"


async def test_a_discontinued_item_is_not_replenished(ims: Ims, database: Database) -> None:
    """No cycle begins, and one that had begun orders nothing."""
    await ims.load("l", [StockRow("OLD", 4, 5), StockRow("GONE", 9, 5)])
    await ims.discontinue("OLD")
    assert await ims.order_replenishment("OLD", 1) == 0
    await ims.allocate("o", [("GONE", 2)])
    await ims.discontinue("GONE")
    await ims.release("o")
    await ims.load("l-2", [StockRow("GONE", 0, 50)])
    assert await notices(database, "GONE") == []
