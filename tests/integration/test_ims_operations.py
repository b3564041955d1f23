"""IMS on a real PostgreSQL: reservations, kits, the queue, loads, notices, and what is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from infra.errors import InvalidInputError
from schemas.events import AllocationFailed, InventoryAllocated, StockBelowReorderPoint
from services.errors import (
    BillOfMaterialsError,
    IllegalTransitionError,
    InvalidOrderError,
    UnknownItemError,
    UnknownOrderError,
)
from services.ims import Ims, StockRow, StockView
from tests.services_support import SERVICE_ROOMS, Database, migrated


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the services' tables."""
    async with migrated(postgres_dsn, SERVICE_ROOMS) as opened:
        yield opened


@pytest.fixture
def ims(database: Database) -> Ims:
    """IMS."""
    return Ims(database.sessions, database.outbox)


async def places(ims: Ims, sku: str) -> tuple[int, int, int, int]:
    """On hand, reserved, consumed and awaited pieces of ``sku``; checks that they add up."""
    (item,) = await ims.stock(sku)
    assert item.received == item.on_hand + item.reserved + item.consumed
    return item.on_hand, item.reserved, item.consumed, item.awaited


async def test_pieces_go_from_the_shelf_to_the_order_and_back(ims: Ims, database: Database) -> None:
    """Reserved, consumed, returned: each once, each published once with the next sequence."""
    await ims.load("l", [StockRow("A", 10)])
    for _ in range(2):
        assert (await ims.allocate("o", [("A", 1), ("A", 2)], "paid")).status == "ALLOCATED"
    assert await places(ims, "A") == (7, 3, 0, 0)
    for _ in range(2):
        await ims.consume("o")
    assert await places(ims, "A") == (7, 0, 3, 0)
    assert (await ims.allocate("o", [("A", 9)])).status == "ALLOCATED", "asked again, it answers as it stands"
    for _ in range(2):
        await ims.return_consumed("o")
    await ims.consume("o")
    assert await places(ims, "A") == (10, 0, 0, 0)

    published = await database.published(subject="o")
    assert [one.name for one in published] == ["InventoryAllocated", "InventoryConsumed", "InventoryReturned"]
    assert [one.sequence for one in published] == [1, 2, 3]
    assert published[0].extensions == {"flow": "paid", "waited": "false"}
    for one in published:
        assert (one.source, one.correlation_id) == ("/services/ims", "o")
        assert one.extensions["flow"] == "paid"


async def test_illegal_steps_of_a_reservation_change_nothing(ims: Ims) -> None:
    """What was consumed is not released; what was released is not consumed; nothing is nobody's."""
    await ims.load("l", [StockRow("A", 10)])
    await ims.allocate("consumed", [("A", 1)])
    await ims.consume("consumed")
    await ims.allocate("released", [("A", 1)])
    await ims.release("released")
    before = await places(ims, "A")
    for operation in (
        ims.release("consumed"),
        ims.consume("released"),
        ims.return_consumed("released"),
        ims.consume("nobody"),
        ims.return_consumed("nobody"),
    ):
        with pytest.raises(IllegalTransitionError):
            await operation
    assert await places(ims, "A") == before


async def test_a_release_that_comes_before_the_request_stays(ims: Ims, database: Database) -> None:
    """An order that was released before it asked for stock gets none, and nothing is published."""
    await ims.load("l", [StockRow("A", 10)])
    for _ in range(2):
        await ims.release("o")
    late = await ims.allocate("o", [("A", 1)])
    assert (late.status, late.reason) == ("FAILED", "the reservation is RELEASED")
    assert await places(ims, "A") == (10, 0, 0, 0)
    assert await database.names(subject="o") == []


async def test_a_kit_is_reserved_as_its_parts(ims: Ims, database: Database) -> None:
    """The reservation and the event name the parts; assembled kits are taken first."""
    await ims.load(
        "l",
        [
            StockRow("TUBE", 100),
            StockRow("LEG", 1, components=(("TUBE", 1),)),
            StockRow("DESK", 0, components=(("LEG", 4), ("TOP", 1))),
            StockRow("TOP", 5),
        ],
    )
    assert (await ims.allocate("o", [("DESK", 2)])).status == "ALLOCATED"
    assert await ims.reservation_lines("o") == (("LEG", 1), ("TOP", 2), ("TUBE", 7))
    (one,) = await database.published(subject="o")
    assert isinstance(one.event, InventoryAllocated)
    assert [(line.sku, line.quantity) for line in one.event.lines] == [("LEG", 1), ("TOP", 2), ("TUBE", 7)]
    assert await places(ims, "DESK") == (0, 0, 0, 0)
    with pytest.raises(UnknownOrderError):
        await ims.reservation_lines("nobody")


async def test_waiting_orders_are_served_first_come_first_served(ims: Ims, database: Database) -> None:
    """A small order does not overtake a large one; each is served once, by one event."""
    await ims.load("l", [StockRow("A", 3), StockRow("B", 100)])
    assert (await ims.allocate("large", [("A", 5), ("B", 1)])).status == "WAITING"
    waiting = await ims.allocate("small", [("A", 1)])
    assert (waiting.status, waiting.reason) == ("WAITING", "waiting for A")
    assert (await ims.allocate("small", [("A", 1)])).status == "WAITING"
    assert (await ims.allocate("other", [("B", 2)])).status == "ALLOCATED", "plenty of B holds nobody up"

    assert await ims.receive("receipt-1", "A", 1) == ()
    assert await ims.receive("receipt-2", "A", 2) == ("large", "small")
    assert await ims.receive("receipt-2", "A", 2) == (), "a receipt counts once"
    assert await places(ims, "A") == (0, 6, 0, 0)
    served = [one for one in await database.published() if one.subject in {"large", "small"}]
    assert [(one.subject, one.name, one.sequence) for one in served] == [
        ("large", "InventoryAllocated", 1),
        ("small", "InventoryAllocated", 1),
    ]
    assert all(one.extensions == {"flow": "direct", "waited": "true"} for one in served)
    assert (await ims.allocate("small", [("A", 1)])).status == "ALLOCATED"


async def test_whatever_frees_pieces_serves_who_waits(ims: Ims) -> None:
    """A release, a return, a load, and an earlier order that gives up waiting, all serve the queue."""
    await ims.load("l-1", [StockRow("A", 4)])
    await ims.allocate("first", [("A", 2)])
    await ims.allocate("second", [("A", 2)])
    await ims.consume("second")
    for order_id in ("w1", "w2"):
        assert (await ims.allocate(order_id, [("A", 2)])).status == "WAITING"
    await ims.release("first")
    await ims.return_consumed("second")
    assert [one.order_id for one in await ims.reservations("RESERVED")] == ["w1", "w2"]

    assert (await ims.allocate("huge", [("A", 50)])).status == "WAITING"
    assert (await ims.allocate("tiny", [("A", 1)])).status == "WAITING"
    assert (await ims.load("l-2", [StockRow("A", 1)])).served == ()
    await ims.release("huge")
    tiny = await ims.reservation("tiny")
    assert tiny is not None
    assert (tiny.state, tiny.waited, tiny.lines) == ("RESERVED", True, (("A", 1),))
    assert (await ims.load("l-3", [StockRow("A", 60)])).served == ()
    assert (await ims.counts())["WAITING"] == 0


async def test_unknown_and_discontinued_items_fail_for_good(ims: Ims, database: Database) -> None:
    """AllocationFailed names the code and the skus, once; asked again the answer is the same."""
    await ims.load("l", [StockRow("A", 10), StockRow("OLD", 10)])
    await ims.discontinue("OLD")
    for _ in range(2):
        assert (await ims.allocate("o-1", [("A", 1), ("NOPE", 1)])).status == "FAILED"
        failed = await ims.allocate("o-2", [("OLD", 1)])
        assert (failed.status, failed.reason) == ("FAILED", "no longer kept: OLD")
    first, second = [one for one in await database.published() if one.name == "AllocationFailed"]
    assert isinstance(first.event, AllocationFailed)
    assert isinstance(second.event, AllocationFailed)
    assert (first.event.code, first.event.skus, first.sequence) == ("UNKNOWN_SKU", ("NOPE",), 1)
    assert (second.event.code, second.event.skus) == ("DISCONTINUED", ("OLD",))
    assert await places(ims, "A") == (10, 0, 0, 0)
    await ims.release("o-1")
    with pytest.raises(UnknownItemError):
        await ims.discontinue("NOPE")


async def test_a_load_counts_once_and_is_all_or_nothing(ims: Ims) -> None:
    """The same load id adds nothing; a load with one bad row adds nothing."""
    rows = [StockRow("A", 3, 1), StockRow("B", 0, 0, (("A", 2),))]
    first = await ims.load("l", rows)
    assert (first.items, first.pieces, first.repeated) == (2, 3, False)
    again = await ims.load("l", rows)
    assert (again.items, again.pieces, again.repeated) == (2, 3, True)
    assert (await ims.load("l-2", rows)).pieces == 3
    assert await places(ims, "A") == (6, 0, 0, 0)
    for bad, error in (
        ([StockRow("A", 1), StockRow("A", 1)], InvalidInputError),
        ([StockRow("A", -1)], InvalidInputError),
        ([StockRow("A", 1), StockRow("C", 1, 0, (("NOPE", 1),))], BillOfMaterialsError),
        ([StockRow("A", 1, 0, (("B", 1),))], BillOfMaterialsError),
    ):
        with pytest.raises(error):
            await ims.load("bad", bad)
    assert await places(ims, "A") == (6, 0, 0, 0)
    assert (await ims.stock("B"))[0].components == (("A", 2),)


async def test_the_reorder_point_is_noticed_once_for_each_cycle(ims: Ims, database: Database) -> None:
    """StockBelowReorderPoint comes when free pieces fall below the point, and again only after they rose."""
    await ims.load("l", [StockRow("A", 10, 5)])
    await ims.allocate("o-1", [("A", 5)])
    assert await database.names(subject="A") == []
    await ims.allocate("o-2", [("A", 1)])
    await ims.allocate("o-3", [("A", 9)])
    await ims.receive("r", "A", 20)
    await ims.allocate("o-4", [("A", 12)])
    published = await database.published(subject="A")
    assert [one.sequence for one in published] == [1, 2]
    cycles = [one.event for one in published if isinstance(one.event, StockBelowReorderPoint)]
    assert [(event.cycle, event.available, event.reorder_point) for event in cycles] == [(1, 4, 5), (2, 3, 5)]


async def test_what_cannot_be_received_is_refused(ims: Ims) -> None:
    """A receipt of an unknown item, or of no pieces, is refused."""
    with pytest.raises(UnknownItemError, match="NOPE"):
        await ims.receive("r", "NOPE", 1)
    await ims.load("l", [StockRow("A", 0)])
    with pytest.raises(InvalidInputError):
        await ims.receive("r", "A", 0)
    with pytest.raises(InvalidOrderError):
        await ims.allocate("o", [])


async def test_the_same_request_at_once_is_one_reservation(ims: Ims, database: Database) -> None:
    """Eight attempts at the same time reserve once, also against a release at the same time."""
    await ims.load("l", [StockRow("A", 100), StockRow("B", 100)])
    answers = await asyncio.gather(*(ims.allocate("o", [("A", 1), ("B", 1)]) for _ in range(8)))
    assert {answer.status for answer in answers} == {"ALLOCATED"}
    assert await places(ims, "A") == (99, 1, 0, 0)
    await asyncio.gather(*(ims.release("o") for _ in range(8)))
    assert await places(ims, "A") == (100, 0, 0, 0)
    assert await database.names(subject="o") == ["InventoryAllocated", "InventoryReleased"]
    for number in range(20):
        await asyncio.gather(ims.allocate(f"race-{number}", [("A", 1)]), ims.release(f"race-{number}"))
    assert await places(ims, "A") == (100, 0, 0, 0)


async def test_orders_that_name_the_same_items_in_any_order_do_not_block_each_other(ims: Ims) -> None:
    """Eighty orders over the same items, eight at a time, half of them released: no deadlock."""
    await ims.load("l", [StockRow("A", 1000), StockRow("B", 60), StockRow("C", 0, 0, (("A", 1), ("B", 1)))])

    async def one(number: int) -> None:
        skus = ("A", "B", "C") if number % 2 else ("C", "B", "A")
        await ims.allocate(f"o-{number}", [(sku, 1) for sku in skus])
        if number % 2:
            await ims.release(f"o-{number}")

    await asyncio.gather(*(one(number) for number in range(80)))
    on_hand, reserved, _, awaited = await places(ims, "B")
    assert (on_hand + reserved, awaited) == (60, 80 - 60)
    assert reserved == 60


async def test_the_stock_list_shows_every_item(ims: Ims) -> None:
    """Items come by sku, with all that is known of them."""
    await ims.load("l", [StockRow("B", 1), StockRow("A", 2, 7)])
    assert [item.sku for item in await ims.stock()] == ["A", "B"]
    assert (await ims.stock("A"))[0] == StockView("A", 2, 2, 0, 0, 0, 7, 1, 0, False, ())
    assert await ims.stock("NOPE") == []
