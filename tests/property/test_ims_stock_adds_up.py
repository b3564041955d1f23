"""Stock adds up, and nobody is overtaken, whatever happens in whatever order, also at once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

import pytest_asyncio
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sqlalchemy import text

from services.errors import IllegalTransitionError
from services.ims import Ims, ReservationView, StockRow
from services.ims.queue import WaitingOrder, servable
from tests.effort import tries
from tests.services_support import SERVICE_ROOMS, Database, migrated

_PLAIN = ("A", "B", "C")
_KITS = {"K": (("A", 1), ("B", 2)), "KK": (("K", 1), ("C", 1))}


@dataclass(frozen=True)
class Step:
    """One call of IMS."""

    operation: Literal[
        "allocate", "consume", "release", "return_consumed", "receive", "load", "discontinue", "replenish"
    ]
    order: int = 0
    lines: tuple[tuple[str, int], ...] = ()
    sku: str = "A"
    quantity: int = 1


_LINES = st.lists(
    st.tuples(st.sampled_from([*_PLAIN, *_KITS]), st.integers(1, 5)), min_size=1, max_size=3
).map(tuple)
_ORDER = st.integers(0, 7)
_STEP = st.one_of(
    st.builds(Step, st.just("allocate"), order=_ORDER, lines=_LINES),
    st.builds(Step, st.just("allocate"), order=_ORDER, lines=_LINES),
    st.builds(Step, st.sampled_from(["consume", "release", "return_consumed"]), order=_ORDER),
    st.builds(
        Step,
        st.sampled_from(["receive", "load"]),
        sku=st.sampled_from([*_PLAIN, *_KITS]),
        quantity=st.integers(1, 8),
    ),
    st.builds(Step, st.just("replenish"), sku=st.sampled_from([*_PLAIN, "K"]), quantity=st.integers(1, 8)),
    st.builds(Step, st.just("discontinue"), sku=st.sampled_from([*_PLAIN, "K"])),
)


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the services' tables."""
    async with migrated(postgres_dsn, SERVICE_ROOMS, connections=6) as opened:
        yield opened


@given(rounds=st.lists(st.lists(_STEP, min_size=1, max_size=6), min_size=1, max_size=6))
@settings(max_examples=tries(20, 300), suppress_health_check=list(HealthCheck))
async def test_stock_adds_up(database: Database, rounds: list[list[Step]]) -> None:
    """Loaded + received = on hand + reserved + consumed, after every round of steps taken at once.

    So it is with short and long deliveries of the supplier and with items that are discontinued under way; who
    is short has a cycle open or a lot on its way; who waits for what is no longer kept has failed.
    """
    await _empty(database)
    ims = Ims(database.sessions, database.outbox)
    await ims.load(
        "first", [*(StockRow(sku, 4, 2) for sku in _PLAIN), *(StockRow(k, 0, 0, c) for k, c in _KITS.items())]
    )
    came_in = defaultdict(int, dict.fromkeys(_PLAIN, 4))
    for number, steps in enumerate(rounds):
        note(f"round {number}: {steps}")
        await asyncio.gather(*(_take(ims, step, f"{number}-{place}") for place, step in enumerate(steps)))
        for step in steps:
            if step.operation in {"receive", "load"}:
                came_in[step.sku] += step.quantity
        await _check(ims, came_in, await _delivered(database))
        await _check_cycles(database)
    await _check_events(database)


async def _take(ims: Ims, step: Step, name: str) -> None:
    order_id = f"o-{step.order}"
    calls: dict[str, Coroutine[Any, Any, Any]] = {}
    match step.operation:
        case "allocate":
            call: Coroutine[Any, Any, Any] = ims.allocate(order_id, step.lines)
        case "receive":
            call = ims.receive(name, step.sku, step.quantity)
        case "load":
            call = ims.load(name, [StockRow(step.sku, step.quantity, 2 if step.sku in _PLAIN else 0)])
        case "discontinue":
            call = ims.discontinue(step.sku)
        case "replenish":
            call = _replenish(ims, step.sku, step.quantity)
        case operation:
            call = getattr(ims, operation)(order_id)
    try:
        await call
    except IllegalTransitionError:
        assert step.operation in {"consume", "release", "return_consumed"}, calls


async def _replenish(ims: Ims, sku: str, quantity: int) -> None:
    """Order the lot of the current cycle, and of those before it, and deliver ``quantity`` for each, twice."""
    (item,) = await ims.stock(sku)
    for cycle in range(1, item.cycle + 1):
        if await ims.order_replenishment(sku, cycle):
            await asyncio.gather(*(ims.receive_replenishment(sku, cycle, quantity) for _ in range(2)))


async def _delivered(database: Database) -> dict[str, int]:
    """What came in from the supplier, by sku: each replenishment once."""
    async with database.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT sku, sum(received)::int AS pieces FROM ims.replenishments GROUP BY sku")
        )
        return {row.sku: row.pieces for row in rows}


async def _check_cycles(database: Database) -> None:
    """Whoever is short has a cycle that is open, or a lot on its way, unless the item is no longer kept."""
    broken = await database.value(
        """
        SELECT count(*) FROM ims.items AS i
        WHERE (NOT discontinued AND on_hand - awaited < reorder_point AND NOT (below AND (NOT settled OR on_order > 0)))
           OR (below AND NOT settled AND EXISTS (SELECT FROM ims.replenishments AS r WHERE r.sku = i.sku
                                                 AND r.cycle = i.cycle AND r.state <> 'ORDERED'))
           OR on_order <> (SELECT coalesce(sum(r.ordered), 0) FROM ims.replenishments AS r
                           WHERE r.sku = i.sku AND r.state = 'ORDERED')
        """
    )
    assert broken == 0
    in_vain = await database.value(
        """
        SELECT count(*) FROM ims.items AS i WHERE discontinued AND awaited > on_hand
        """
    )
    assert in_vain == 0, "an order waits for what will never come"


async def _check(ims: Ims, came_in: dict[str, int], delivered: dict[str, int]) -> None:
    reservations = await ims.reservations(limit=1000)
    held: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for reservation in reservations:
        for sku, quantity in reservation.lines:
            held[reservation.state][sku] += quantity
    stock = await ims.stock()
    for item in stock:
        assert item.received == came_in[item.sku] + delivered.get(item.sku, 0)
        assert item.received == item.on_hand + item.reserved + item.consumed
        assert min(item.on_hand, item.reserved, item.consumed, item.awaited) >= 0
        assert item.reserved == held["RESERVED"][item.sku]
        assert item.consumed == held["CONSUMED"][item.sku]
        assert item.awaited == held["WAITING"][item.sku]
    _check_queue(reservations, {item.sku: item.on_hand for item in stock})


def _check_queue(reservations: list[ReservationView], on_hand: dict[str, int]) -> None:
    waiting = [one for one in reservations if one.state == "WAITING"]
    queue = [WaitingOrder(one.order_id, dict(one.lines)) for one in waiting]
    assert servable(queue, on_hand) == [], "nobody waits who could be served"
    claimed: dict[str, int] = defaultdict(int)
    for one in waiting:
        for sku, quantity in one.lines:
            claimed[sku] += quantity
            overtaken = [
                later.order_id
                for later in reservations
                if later.position > one.position
                and later.state in {"RESERVED", "CONSUMED"}
                and sku in dict(later.lines)
            ]
            assert not overtaken or on_hand[sku] >= claimed[sku], f"{one.order_id} was overtaken on {sku}"


async def _check_events(database: Database) -> None:
    last: dict[str, int] = defaultdict(int)
    for one in await database.published():
        assert one.sequence == last[one.subject] + 1, f"{one.name} of {one.subject} is out of order"
        last[one.subject] = one.sequence


async def _empty(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(
            text(
                "TRUNCATE ims.items, ims.components, ims.reservations, ims.reservation_lines, ims.receipts,"
                " ims.loads, ims.replenishments, outbox.events RESTART IDENTITY"
            )
        )
