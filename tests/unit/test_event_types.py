"""What people type after ``--type``."""

from __future__ import annotations

import pytest

from schemas.events import OrderSubmitted
from tidegate.event_types import event_types


def test_known_names_are_taken_without_a_word(capsys: pytest.CaptureFixture[str]) -> None:
    """The full name and its last part are known; none given is every event."""
    assert event_types(["OrderSubmitted", OrderSubmitted.TYPE]) == {"OrderSubmitted", OrderSubmitted.TYPE}
    assert event_types(None) == frozenset()
    assert capsys.readouterr().err == ""


def test_a_slip_of_the_pen_is_pointed_out_and_a_foreign_name_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """A topic may hold events of others, so nothing is refused."""
    assert event_types(["OrderSubmited", "org.else.Thing"]) == {"OrderSubmited", "org.else.Thing"}
    assert capsys.readouterr().err.splitlines() == [
        "--type OrderSubmited: no schema here describes such an event; did you mean OrderSubmitted?",
        "--type org.else.Thing: no schema here describes such an event",
    ]
