"""What a workflow remembers of its signals: bounded by count and by age, and readable by either release."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from temporalio.converter import DataConverter

from workflows.dedupe import SEEN_AT_HEADER, SEEN_HEADER, DedupeSignals
from workflows.dedupe.memory import SeenSignals, carried

CONVERTER = DataConverter.default.payload_converter
HOUR = timedelta(hours=1)


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 2_000))),
    st.integers(1, 4),
    st.sampled_from([timedelta(seconds=1), HOUR]),
    st.integers(0, 50),
)
def test_a_key_is_new_unless_it_is_among_the_latest_and_young(
    told: list[tuple[str, int]], limit: int, forget_after: timedelta, cut: int
) -> None:
    """Like a plain list of (key, time), also where the memory goes through headers in the middle."""
    model: list[tuple[str, int]] = []
    seen = SeenSignals(limit, forget_after)
    now = 0
    for number, (key, later) in enumerate(told):
        now += later
        if number == cut:
            seen = SeenSignals(limit, forget_after, carried(seen.headers(CONVERTER), CONVERTER, started=now))
        model = [(one, at) for one, at in model if now - at <= forget_after.total_seconds()]
        new = key not in {one for one, _ in model}
        assert seen.is_new(key, now) is new
        if new:
            model = [*model, (key, now)][-limit:]
    assert carried(seen.headers(CONVERTER), CONVERTER, started=0) == dict(model)


def test_an_older_worker_reads_what_a_newer_one_wrote() -> None:
    """The header that it knows holds what it always held: a list of texts."""
    seen = SeenSignals(10, HOUR, {"1:tell": 5, "2:tell": 6})
    assert CONVERTER.from_payload(seen.headers(CONVERTER)[SEEN_HEADER], list[str]) == ["1:tell", "2:tell"]


def test_what_an_older_worker_wrote_is_as_old_as_the_run() -> None:
    """It has no times; nothing of it is forgotten before its time."""
    headers = {SEEN_HEADER: CONVERTER.to_payload(["1:tell", "2:tell"])}
    assert carried(headers, CONVERTER, started=100.5) == {"1:tell": 100, "2:tell": 100}
    headers[SEEN_AT_HEADER] = CONVERTER.to_payload([1])
    assert carried(headers, CONVERTER, started=100.5) == {"1:tell": 100, "2:tell": 100}


def test_nothing_was_carried_to_a_first_run() -> None:
    """A workflow that was not continued has seen nothing."""
    assert carried({}, CONVERTER, started=0) == {}


@pytest.mark.parametrize(
    "bound", [{"remember": 0}, {"signals_per_run": 0}, {"forget_after": timedelta(0)}], ids=str
)
def test_a_bound_that_is_not_positive_is_refused(bound: dict[str, object]) -> None:
    """A memory of nothing would let everything through in silence."""
    with pytest.raises(ValueError, match="must be positive"):
        DedupeSignals(**bound)  # type: ignore[arg-type]
