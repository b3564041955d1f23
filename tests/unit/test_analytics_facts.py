"""What an order's events say about it, and about the revenue."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest

from consumers.analytics.amounts import amounts_of
from consumers.analytics.facts import OrderFacts, fold
from consumers.analytics.revenue import Revenue, RevenueDay, revenue_change, revenue_of
from consumers.analytics.sink import ReceivedEvent
from tests.analytics_support import START, history, line, told_again


def folded(told: list[ReceivedEvent]) -> OrderFacts:
    facts = OrderFacts(order_id=told[0].event.key)
    for one in told:
        facts = fold(facts, one.event, one.envelope)
    return facts


def test_net_is_rounded_half_even_per_line() -> None:
    """0.125 becomes 0.12 and 0.375 becomes 0.38, line by line, before the sum."""
    amounts = amounts_of(
        [line(quantity=1, unit_price="0.25", discount="0.5"), line(unit_price="0.75", discount="0.5")]
    )
    assert amounts.gross == Decimal("1.00")
    assert amounts.net == Decimal("0.50")


def test_amounts_of_the_largest_lines_are_exact() -> None:
    """No digit is lost where every field holds the most that its schema allows."""
    most = line(quantity=2**31 - 1, unit_price="9999999999999999.99", discount="0.9999")
    amounts = amounts_of([most, most])
    assert amounts.gross == 2 * (2**31 - 1) * Decimal("9999999999999999.99")
    assert amounts.net == 2 * Decimal("2147483646999999997852.52")


def test_a_shipped_order_counts_on_the_utc_day_of_its_shipment() -> None:
    """Submitted at 22:00 and shipped three hours later, it counts on the next day; the lead time is three hours."""
    facts = folded(history("r-1", (line(quantity=3, unit_price="10.00", discount="0.1"),)))
    assert facts.state == "SHIPPED"
    assert facts.lead_time == timedelta(hours=3)
    assert revenue_of(facts) == (
        RevenueDay(date(2026, 5, 5), "EUR"),
        Revenue(orders=1, gross=Decimal("30.00"), net=Decimal("27.00")),
    )


@pytest.mark.parametrize("end", ["failed", "cancelled", "rejected", "open"])
def test_an_order_that_did_not_ship_is_no_revenue(end: str) -> None:
    """Revenue counts at shipment, whatever the order was worth."""
    facts = folded(history("r-2", (line(),), end=end))
    assert facts.gross == Decimal("10.00")
    assert revenue_of(facts) is None


def test_a_shipment_that_arrives_before_the_submission_ends_right() -> None:
    """The facts wait for each other, not for an order of arrival."""
    told = history("r-3", (line(),))
    assert folded(told[::-1]) == folded(told)


def test_a_later_event_of_an_earlier_version_does_not_move_the_state_back() -> None:
    """OrderReserved redelivered after OrderShipped leaves the order shipped."""
    told = history("r-4", (line(),))
    assert folded([*told, told[2]]).state == "SHIPPED"


def test_the_same_fact_under_a_new_event_id_changes_no_time_and_no_amount() -> None:
    """A storefront that reports a submission twice does not make the order newer."""
    told = history("r-5", (line(),))
    again = [told_again(one, later=timedelta(days=2)) for one in told]
    assert revenue_of(folded(told + again)) == revenue_of(folded(told))
    assert folded(told + again).submitted_at == START


def test_a_batch_that_moves_an_order_moves_its_revenue() -> None:
    """The difference takes from the old day what it adds to the new one, and nothing stays that came to nothing."""
    shipped = folded(history("r-6", (line(),)))
    later = folded(history("r-6", (line(),), after=timedelta(hours=30)))
    change = revenue_change([(shipped, later), (shipped, shipped)])
    assert {key.day.day: revenue.net for key, revenue in change.items()} == {
        5: Decimal("-10.00"),
        6: Decimal("10.00"),
    }
    assert revenue_change([(OrderFacts(order_id="x"), OrderFacts(order_id="x"))]) == {}
