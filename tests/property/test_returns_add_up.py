"""Money and goods add up, whatever returns of one order do in whatever order, also at once and more than once."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import pytest_asyncio
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from infra.ids import derived_id
from services.errors import IllegalTransitionError, UnknownReturnError
from services.ims import StockRow
from services.orders import OrderLine
from services.returns import Disposition, Found, Pieces, ReturnView
from services.returns.rules import pieces_of
from tests.effort import tries
from tests.returned_goods import Goods, open_goods
from workflows.activities.restocking import receipt_of

SKUS = ("bolt", "nut")
RETURNS = range(4)


What = Literal["ask", "check", "approve", "assess", "refund", "restock", "complete", "reject"]


@dataclass(frozen=True)
class Step:
    """One call about one return."""

    what: What
    number: int
    pieces: tuple[tuple[str, int], ...] = ()
    found: tuple[tuple[str, int, Disposition], ...] = ()


_PIECES = st.lists(
    st.tuples(st.sampled_from(SKUS), st.integers(1, 4)), min_size=1, max_size=2, unique_by=lambda one: one[0]
).map(tuple)
_FOUND = st.lists(
    st.tuples(st.sampled_from(SKUS), st.integers(0, 5), st.sampled_from(Disposition)), max_size=4
).map(tuple)
_LINES = st.lists(
    st.builds(
        OrderLine,
        st.sampled_from(SKUS),
        st.integers(1, 4),
        st.decimals(min_value=0, max_value=20, places=2),
        st.decimals(min_value=0, max_value=1, places=4),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@st.composite
def _rounds(draw: st.DrawFn) -> list[list[Step]]:
    """Each return goes its way in order, shuffled into those of the others, with repeats and rejections between."""
    waiting = []
    for number in RETURNS:
        pieces, found = draw(_PIECES), draw(_FOUND)
        way: list[What] = ["ask", "check", "approve", "assess", "refund", "restock", "complete"]
        for _ in range(draw(st.integers(0, 2))):
            again: list[What] = [*way, "reject"]
            way.insert(draw(st.integers(1, len(way))), draw(st.sampled_from(again)))
        waiting.append([Step(what, number, pieces, found) for what in way])
    rounds = []
    while any(waiting):
        ready = [way for way in waiting if way]
        chosen = draw(st.lists(st.sampled_from(range(len(ready))), min_size=1, max_size=4))
        rounds.append([ready[place].pop(0) for place in chosen if ready[place]])
    return rounds


@pytest_asyncio.fixture(loop_scope="session")
async def goods(postgres_dsn: str) -> AsyncIterator[Goods]:
    """The services, with plenty on the shelf."""
    async with open_goods(postgres_dsn) as opened:
        await opened.stock(*(StockRow(sku, 1_000_000) for sku in SKUS))
        yield opened


_names = itertools.count()


@given(lines=_LINES, rounds=_rounds())
@settings(
    max_examples=tries(10, 150),
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink an example takes minutes on a database
)
async def test_returns_add_up(goods: Goods, lines: tuple[OrderLine, ...], rounds: list[list[Step]]) -> None:
    """Never refunded above captured nor above what is owed, never more pieces back than shipped, stock adds up."""
    order_id = await goods.sold(f"order-{next(_names)}", lines)
    shelf = {sku: await goods.on_hand(sku) for sku in SKUS}
    for number, steps in enumerate(rounds):
        note(f"round {number}: {steps}")
        await asyncio.gather(*(_take(goods, order_id, step) for step in steps))
        await _check(goods, order_id, lines)
    for number in RETURNS:  # what was inspected is brought to its end
        await _take(goods, order_id, Step("complete", number))
    views = await goods.returns.views(order_id=order_id)
    back: Counter[str] = Counter()
    for view in views:
        back.update({line.sku: line.restocked or 0 for line in view.lines})
    assert {sku: await goods.on_hand(sku) for sku in SKUS} == {
        sku: number + back[sku] for sku, number in shelf.items()
    }
    payment = await goods.desk.payment(order_id)
    assert payment.refunded == sum((view.refunded or Decimal(0) for view in views), Decimal(0))
    accepted = Counter[str]()
    for view in views:
        accepted.update({line.sku: (line.restocked or 0) + (line.scrapped or 0) for line in view.lines})
    if accepted == pieces_of(lines):
        assert payment.refunded == payment.captured, "everything came back: everything is refunded"
    await goods.desk.agree(order_id)


async def _take(goods: Goods, order_id: str, step: Step) -> None:
    """What the workflow would do at this step; what the service's state machine refuses is no harm."""
    return_id, returns = f"{order_id}-{step.number}", goods.returns
    try:
        match step.what:
            case "ask":
                lines = [Pieces(sku, quantity) for sku, quantity in step.pieces]
                await returns.request(return_id, order_id, "OTHER", lines)
            case "check":
                await returns.check_policy(return_id, await goods.order(order_id))
            case "approve":
                await returns.approve(return_id, order_id, "T")
            case "assess":
                found = [Found(*one) for one in step.found]
                settled = await returns.assess(return_id, await goods.order(order_id), found)
                if not settled.accepted:
                    await returns.reject(return_id, order_id, "NOT_ACCEPTED", "nothing")
            case "reject":
                await returns.reject(return_id, order_id, "NOT_RECEIVED", "it never came")
            case "complete":
                view = await _inspected(goods, return_id)
                if view is not None and view.amount is not None:
                    await _refund(goods, view)
                    await _restock(goods, view)
                    await returns.complete(return_id, order_id, view.amount)
            case "refund":
                view = await _inspected(goods, return_id)
                if view is not None:
                    await _refund(goods, view)
            case "restock":
                view = await _inspected(goods, return_id)
                if view is not None:
                    await _restock(goods, view)
    except (IllegalTransitionError, UnknownReturnError):
        assert step.what != "ask"


async def _inspected(goods: Goods, return_id: str) -> ReturnView | None:
    view = await goods.returns.view(return_id)
    return view if view is not None and view.state in {"INSPECTED", "COMPLETED"} else None


async def _refund(goods: Goods, view: ReturnView) -> None:
    if view.amount:
        refund_id = str(derived_id("refund", view.return_id))
        await goods.desk.payments.refund(view.order_id, refund_id, view.amount)


async def _restock(goods: Goods, view: ReturnView) -> None:
    for line in view.lines:
        if line.restocked:
            await goods.ims.receive(receipt_of(view.return_id, line.sku), line.sku, line.restocked)


async def _check(goods: Goods, order_id: str, lines: tuple[OrderLine, ...]) -> None:
    held: Counter[str] = Counter()
    owed = Decimal(0)
    for view in await goods.returns.views(order_id=order_id):
        for line in view.lines:
            if view.state in {"ACCEPTED", "APPROVED"}:
                held[line.sku] += line.quantity
            if view.state in {"INSPECTED", "COMPLETED"}:
                held[line.sku] += (line.restocked or 0) + (line.scrapped or 0)
        owed += view.amount or Decimal(0)
    assert held <= pieces_of(lines), "never more pieces than were shipped"
    payment = await goods.desk.payment(order_id)
    assert payment.refunded <= owed <= payment.captured
    for sku in SKUS:
        assert await goods.on_hand(sku) >= 0
