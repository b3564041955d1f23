"""The limit of calls to Temporal: whatever comes back and in whatever order, it bounds, yields once and recovers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.bridge.adaptive_limit import AdaptiveLimit, Ticket

HIGHEST = st.integers(1, 50)
STEPS = st.lists(st.sampled_from(["admit", "answered", "overloaded", "abandoned"]), max_size=200)


@given(highest=HIGHEST, steps=STEPS, data=st.data())
def test_calls_never_pass_the_limit(highest: int, steps: list[str], data: st.DataObject) -> None:
    """At no moment is a call let in beyond the limit, or refused below it; the limit stays between one and its highest;
    no call is ever forgotten."""
    limit, out = AdaptiveLimit(highest), list[Ticket]()
    for step in steps:
        if step == "admit":
            room = limit.under_way < limit.limit
            ticket = limit.admit()
            assert (ticket is not None) is room
            out += [ticket] if ticket else []
        elif out:
            getattr(limit, step)(out.pop(data.draw(st.integers(0, len(out) - 1))))
        assert 1 <= limit.limit <= highest
        assert limit.under_way == len(out)


@given(highest=st.integers(2, 400), refused=st.integers(1, 400), data=st.data())
def test_one_burst_of_refusals_is_one_cut(highest: int, refused: int, data: st.DataObject) -> None:
    """Calls that were under way together and are refused together halve what was under way once, not once each."""
    limit = AdaptiveLimit(highest)
    out = [ticket for _ in range(refused) if (ticket := limit.admit())]
    cuts = [limit.overloaded(ticket) for ticket in data.draw(st.permutations(out))]
    assert cuts == [True] + [False] * (len(out) - 1)
    assert limit.limit == max(1, len(out) // 2)
    assert limit.cuts == 1


@given(highest=st.integers(2, 60), bursts=st.integers(1, 8))
def test_it_recovers_while_all_goes_well(highest: int, bursts: int) -> None:
    """After any number of cuts, rounds of answers bring it back to the highest, by about one call a round."""
    limit = AdaptiveLimit(highest)
    for _ in range(bursts):
        for ticket in _all_in(limit):
            limit.overloaded(ticket)
    rounds = 0
    while limit.limit < highest:
        before = limit.limit
        for ticket in _all_in(limit):
            limit.answered(ticket)
        rounds += 1
        assert limit.limit <= before + 1
        assert rounds <= 4 * highest


@given(highest=HIGHEST, idle=st.integers(1, 200))
def test_it_does_not_grow_past_what_was_tried(highest: int, idle: int) -> None:
    """One call at a time says little about many at a time, however long it goes well."""
    limit = AdaptiveLimit(highest)
    for ticket in _all_in(limit):
        limit.overloaded(ticket)
    found = limit.limit
    for _ in range(idle):
        limit.answered(_in(limit))
    assert limit.limit <= max(found, 3)


def test_what_was_begun_before_a_cut_says_nothing_after_it() -> None:
    """A late answer to a call of the crowd that was too large does not raise the limit again."""
    limit = AdaptiveLimit(8)
    first, *rest = _all_in(limit)
    limit.overloaded(first)
    assert limit.limit == 4
    for ticket in rest:
        limit.answered(ticket)
    assert limit.limit == 4


def test_no_call_at_all_is_no_limit() -> None:
    """A limit that could let nothing in is refused."""
    with pytest.raises(ValueError, match="one call"):
        AdaptiveLimit(0)


def _all_in(limit: AdaptiveLimit) -> list[Ticket]:
    return [_in(limit) for _ in range(limit.limit - limit.under_way)]


def _in(limit: AdaptiveLimit) -> Ticket:
    ticket = limit.admit()
    assert ticket is not None
    return ticket
