"""What a cursor is, without a database."""

from __future__ import annotations

import pytest

from outbox.batches import KafkaPage
from outbox.cursor import Cohort, Cursor, Window, merged
from outbox.publisher import BEHIND
from outbox.snapshot import NOTHING, Snapshot, ended_between


def test_a_snapshot_sees_what_had_ended() -> None:
    """Below xmax and not running."""
    snapshot = Snapshot.parse("10:20:12,15")
    assert [xid for xid in (3, 9, 10, 12, 15, 19, 20, 21) if snapshot.sees(xid)] == [3, 9, 10, 19]
    assert Snapshot.parse("7:7:").xip == frozenset()


def test_the_first_snapshot_sees_nobody() -> None:
    """A new outbox is published from its first row on."""
    assert not NOTHING.sees(3)
    assert NOTHING.sees(2), "the frozen number stands for what needs no publishing"


@pytest.mark.parametrize("text", ["", "1:2", "a:b:c"])
def test_what_is_no_snapshot_is_refused(text: str) -> None:
    """A cursor that cannot be read is an error and never an empty one."""
    with pytest.raises(ValueError):  # noqa: PT011 - any sentence will do
        Snapshot.parse(text)


def test_stragglers_are_those_that_ended_in_between() -> None:
    """Running at the start and over at the end."""
    assert ended_between(Snapshot.parse("10:20:12,15,17"), Snapshot.parse("12:30:12,25")) == [15, 17]


def test_a_window_that_is_through_becomes_the_snapshot() -> None:
    """Begun, advanced, closed."""
    window = Window(Snapshot.parse("10:20:"), 100)
    cursor = Cursor().opened(window).advanced(40)
    assert (cursor.window, cursor.after) == (window, 40)
    assert cursor.closed(floor=30) == Cursor(window.end, floor=30)


def test_groups_at_one_place_are_read_together() -> None:
    """Same snapshot, one cohort, the highest floor; a window under way stays apart."""
    here, there = Snapshot.parse("10:20:"), Snapshot.parse("10:30:")
    window = Window(there, 9)
    cohorts = [
        Cohort(frozenset({0}), Cursor(here, floor=5)),
        Cohort(frozenset({1}), Cursor(here, floor=7)),
        Cohort(frozenset({2}), Cursor(there, floor=6)),
        Cohort(frozenset({3}), Cursor(here, floor=5, window=window, after=3)),
    ]
    assert merged(cohorts) == [
        Cohort(frozenset({0, 1}), Cursor(here, floor=7)),
        Cohort(frozenset({2}), Cursor(there, floor=6)),
        Cohort(frozenset({3}), Cursor(here, floor=5, window=window, after=3)),
    ]


def test_a_refused_row_holds_what_follows_it_with_its_key() -> None:
    """Same topic and key only."""
    rows = [{"topic": "t", "key": key, "id": number} for number, key in enumerate("abab")]
    page = KafkaPage(frozenset())
    page.refuse(rows[0], "too large")  # type: ignore[arg-type]
    assert [row["id"] for row in page.sendable(rows[1:])] == [1, 3]  # type: ignore[arg-type]
    assert [(refusal.row["id"], refusal.reason) for refusal in page.refusals] == [
        (0, "too large"),
        (2, BEHIND),
    ]
