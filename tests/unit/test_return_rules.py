"""What may come back, and what it is worth: rules over values."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from services.orders import OrderLine
from services.returns import Disposition, Found, Pieces, SoldOrder
from services.returns.rules import (
    amount_owed,
    counted,
    pieces_of,
    reason_against,
    reasons_against_request,
)

SHIPPED = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


def sold(*lines: OrderLine, shipped: bool = True) -> SoldOrder:
    """An order that has shipped, or has not."""
    return SoldOrder("o", "paid", "EUR", shipped, SHIPPED if shipped else None, lines)


TWO = OrderLine("bolt", 2, Decimal("9.99"))


def test_the_policy_counts_from_the_shipping() -> None:
    """30 days after shipping to the microsecond are in time; what counts is when the customer asked."""
    limit = SHIPPED + timedelta(days=30)
    assert reason_against(sold(TWO), [Pieces("bolt", 2)], {}, limit) is None
    late = reason_against(sold(TWO), [Pieces("bolt", 2)], {}, limit + timedelta(microseconds=1))
    assert late == "it was asked for more than 30 days after the order had shipped"
    assert reason_against(sold(TWO, shipped=False), [Pieces("bolt", 1)], {}, SHIPPED) == (
        "the order has not shipped"
    )


def test_never_more_than_was_shipped() -> None:
    """Pieces of other returns count, several lines of one sku are one, what was never ordered cannot come back."""
    order = sold(TWO, OrderLine("bolt", 1, Decimal("5.00")))
    assert reason_against(order, [Pieces("bolt", 3)], {}, SHIPPED) is None
    assert reason_against(order, [Pieces("bolt", 3)], {"bolt": 1}, SHIPPED) == (
        "3 of bolt were asked for, and 2 are left to come back"
    )
    assert reason_against(order, [Pieces("nut", 1)], {}, SHIPPED) is not None


def test_a_request_is_well_formed() -> None:
    """Each fault is named; a request without faults has none."""
    assert reasons_against_request("r", "o", "DAMAGED", [Pieces("bolt", 1)]) == []
    faults = reasons_against_request("", "o\n", "BORED", [Pieces("", 0), Pieces("x", 1), Pieces("x", 1)])
    assert len(faults) == 6
    assert reasons_against_request("r", "o", "OTHER", []) == ["a return has 1 to 100 lines, not 0"]
    assert len(reasons_against_request("r", "o", "OTHER", [Pieces(f"s{n}", 1) for n in range(101)])) == 1


def test_no_more_counts_than_was_announced() -> None:
    """Too many, unannounced, split over several reports of one sku: restock first, then scrap, up to the announced."""
    found = [
        Found("bolt", 2, Disposition.SCRAP),
        Found("bolt", 2, Disposition.RESTOCK),
        Found("bolt", 5, Disposition.REJECT),
        Found("nut", 1, Disposition.RESTOCK),
    ]
    assert counted({"bolt": 3}, found) == {
        "bolt": {Disposition.RESTOCK: 2, Disposition.SCRAP: 1, Disposition.REJECT: 0}
    }
    assert counted({"bolt": 3}, []) == {"bolt": dict.fromkeys(Disposition, 0)}


def test_a_third_of_ten_cents_comes_to_ten_cents() -> None:
    """0.10 for three pieces is refunded as 0.03, 0.04 and 0.03 (half-even of 0.0333, 0.0667, 0.1)."""
    line = OrderLine("bolt", 3, Decimal("0.10"), Decimal("0.6667"))
    assert line.net == Decimal("0.10")
    portions = [amount_owed([line], {"bolt": before}, {"bolt": 1}) for before in range(3)]
    assert portions == [Decimal("0.03"), Decimal("0.04"), Decimal("0.03")]


_LINE = st.builds(
    OrderLine,
    st.sampled_from(["A", "B"]),
    st.integers(1, 9),
    st.decimals(min_value=0, max_value=1000, places=2),
    st.decimals(min_value=0, max_value=1, places=4),
)


@given(lines=st.lists(_LINE, min_size=1, max_size=4), data=st.data())
def test_all_partial_returns_together_are_the_net(lines: list[OrderLine], data: st.DataObject) -> None:
    """In whatever portions everything comes back: exactly the sum of the lines' nets, and never a negative portion."""
    left, back, owed = pieces_of(lines), Counter[str](), Decimal("0.00")
    while left.total():
        sku = data.draw(st.sampled_from(sorted(left)))
        portion = data.draw(st.integers(1, left[sku]))
        amount = amount_owed(lines, back, {sku: portion})
        assert amount >= 0
        owed += amount
        back[sku] += portion
        left = left - Counter({sku: portion})
    assert owed == sum((line.net for line in lines), Decimal(0))
