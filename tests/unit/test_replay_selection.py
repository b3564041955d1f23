"""Which records a replay takes, and how people say it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from consumers.replay.errors import InvalidSelectionError
from consumers.replay.moment import parse_moment
from consumers.replay.place import Place
from consumers.replay.selection import Selection
from consumers.runtime.record import ConsumedRecord

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


def record(timestamp_ms: int = 0, key: bytes | None = b"k") -> ConsumedRecord:
    return ConsumedRecord("t", 0, 0, key, b"", (), timestamp_ms)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-05-04T10:00:00Z", NOW - timedelta(hours=2)),
        ("2026-05-04T10:00:00", NOW - timedelta(hours=2)),
        ("2026-05-04T12:00:00+02:00", NOW - timedelta(hours=2)),
        ("2026-05-04", NOW - timedelta(hours=12)),
        ("90s", NOW - timedelta(seconds=90)),
        ("15m", NOW - timedelta(minutes=15)),
        ("3d", NOW - timedelta(days=3)),
    ],
)
def test_a_time_is_iso_8601_or_how_long_ago(text: str, moment: datetime) -> None:
    """Without an offset it is UTC."""
    assert parse_moment(text, now=NOW) == moment


@pytest.mark.parametrize("text", ["yesterday", "2h30", "-2h", "2026-13-01", "9" * 40 + "d", ""])
def test_what_is_no_time_is_refused(text: str) -> None:
    """The sentence repeats what was written."""
    with pytest.raises(InvalidSelectionError, match="is no time"):
        parse_moment(text, now=NOW)


def test_a_selection_begins_with_its_first_bound_and_ends_before_its_second() -> None:
    """To the millisecond, in any time zone."""
    zone = timezone(timedelta(hours=2))
    selection = Selection(
        topic="t",
        from_time=datetime(1970, 1, 1, 2, 0, 1, tzinfo=zone),
        to_time=datetime(1970, 1, 1, 0, 0, 2, tzinfo=UTC),
    )
    assert [selection.takes(record(ms)) for ms in (999, 1000, 1999, 2000)] == [False, True, True, False]


def test_a_type_fits_by_its_full_name_or_its_last_part() -> None:
    """A record that names no type fits only where none was asked for."""
    selection = Selection(topic="t", types=frozenset({"OrderShipped", "a.b.C"}))
    assert selection.takes_type("tidegate.oms.orders.OrderShipped")
    assert selection.takes_type("a.b.C")
    assert not selection.takes_type("x.b.C2")
    assert not selection.takes_type(None)
    assert Selection(topic="t").takes_type(None)


def test_a_key_fits_as_text() -> None:
    """A record without a key fits no key."""
    selection = Selection(topic="t", keys=frozenset({"k"}))
    assert selection.takes(record())
    assert not selection.takes(record(key=None))
    assert not selection.takes(record(key=b"\xff"))


@pytest.mark.parametrize(
    "bounds",
    [
        {"from_time": NOW, "to_time": NOW},
        {"from_offset": 4, "to_offset": 4},
        {"from_offset": -1},
        {"partitions": frozenset({-1})},
    ],
)
def test_a_selection_that_can_hold_nothing_is_refused(bounds: dict[str, object]) -> None:
    """It is a slip of the pen, not a replay of nothing."""
    with pytest.raises(InvalidSelectionError):
        Selection(topic="t", **bounds)  # type: ignore[arg-type]


def test_what_was_selected_is_recorded_without_what_was_not_given() -> None:
    """The audit row holds JSON that reads like the command."""
    selection = Selection(topic="t", from_time=NOW, from_offset=0, keys=frozenset({"b", "a"}))
    assert selection.describe() == {
        "topic": "t",
        "from_time": "2026-05-04T12:00:00Z",
        "from_offset": 0,
        "keys": ["a", "b"],
    }


def test_a_place_is_written_as_it_is_read() -> None:
    """``TOPIC:PARTITION:OFFSET``, and nothing else."""
    assert str(Place.parse("oms.orders.dlq:3:17")) == "oms.orders.dlq:3:17"
    for text in ("oms.orders.dlq", "oms.orders.dlq:3", "t:-1:2", "t:1:x", ":1:2"):
        with pytest.raises(InvalidSelectionError):
            Place.parse(text)
