"""Facts and revenue do not depend on how their events arrive."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from consumers.analytics.facts import OrderFacts, fold
from consumers.analytics.revenue import Revenue, RevenueDay, revenue_change, revenue_of
from consumers.analytics.sink import ReceivedEvent
from schemas.events import OrderLine
from tests.analytics_support import START, history, told_again

LINES = st.lists(
    st.builds(
        OrderLine,
        sku=st.sampled_from(["A-1", "B-2"]),
        quantity=st.integers(1, 500),
        unit_price=st.decimals("0.01", "9999.99", places=2),
        discount=st.decimals(0, 1, places=4),
    ),
    min_size=1,
    max_size=4,
).map(tuple)
ENDS = st.sampled_from(["shipped", "shipped", "failed", "cancelled", "rejected", "open"])


@st.composite
def arrivals(draw: st.DrawFn) -> tuple[list[ReceivedEvent], list[ReceivedEvent]]:
    """What happened to some orders, and the same with repeats of both kinds, in any order."""
    told: list[ReceivedEvent] = []
    for number in range(draw(st.integers(1, 4))):
        told += history(
            f"r-{number}",
            draw(LINES),
            currency=draw(st.sampled_from(["EUR", "USD"])),
            start=START + timedelta(hours=draw(st.integers(0, 48))),
            end=draw(ENDS),
            after=timedelta(minutes=draw(st.integers(3, 3000))),
        )
    same_again = draw(st.lists(st.sampled_from(told), max_size=8))
    under_new_ids = [
        told_again(one, later=timedelta(minutes=draw(st.integers(0, 100))))
        for one in draw(st.lists(st.sampled_from(told), max_size=8))
    ]
    everything = told + same_again + under_new_ids
    return everything, draw(st.permutations(everything))


def facts_after(told: list[ReceivedEvent]) -> dict[str, OrderFacts]:
    facts: dict[str, OrderFacts] = {}
    for one in told:
        key = one.event.key
        facts[key] = fold(facts.get(key, OrderFacts(order_id=key)), one.event, one.envelope)
    return facts


def revenue_after(told: list[ReceivedEvent], batch: int) -> dict[RevenueDay, Revenue]:
    """The revenue that the sink would hold: differences batch by batch, never a look at the whole."""
    facts: dict[str, OrderFacts] = {}
    revenue: dict[RevenueDay, Revenue] = {}
    for first in range(0, len(told), batch):
        changed = dict(facts)
        for one in told[first : first + batch]:
            key = one.event.key
            changed[key] = fold(changed.get(key, OrderFacts(order_id=key)), one.event, one.envelope)
        pairs = [(facts.get(key, OrderFacts(order_id=key)), after) for key, after in changed.items()]
        for day, change in revenue_change(pairs).items():
            revenue[day] = revenue.get(day, Revenue(0, Decimal(0), Decimal(0))) + change
        facts = changed
    return {day: figure for day, figure in revenue.items() if figure.orders}


@given(arrivals())
def test_any_order_and_any_repetition_give_the_same_facts(
    both: tuple[list[ReceivedEvent], list[ReceivedEvent]],
) -> None:
    """Order facts are a function of the set of events, not of their arrival."""
    told, arrived = both
    assert facts_after(arrived) == facts_after(told)
    assert facts_after(arrived + arrived) == facts_after(told)


@given(arrivals(), st.integers(1, 7))
def test_revenue_kept_as_differences_is_the_revenue_of_the_facts(
    both: tuple[list[ReceivedEvent], list[ReceivedEvent]], batch: int
) -> None:
    """However the events are cut into batches, the days add up to the orders shipped on them."""
    _, arrived = both
    expected: dict[RevenueDay, Revenue] = {}
    for facts in facts_after(arrived).values():
        if (counted := revenue_of(facts)) is not None:
            day, worth = counted
            expected[day] = expected.get(day, Revenue(0, Decimal(0), Decimal(0))) + worth
    assert revenue_after(arrived, batch) == expected
