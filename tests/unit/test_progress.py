"""When a run is at its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tidegate.progress import Progress

DONE = Progress(
    orders=5,
    states={"SHIPPED": 1, "DELIVERED": 1, "FAILED": 1, "CANCELLED": 1, "CREATED": 1},
    waiting=1,
    events=60,
    signals=10,
    lag={"tidegate-bridge": 0, "relay tidegate": 0},
    parked=0,
    upstream_tasks=0,
)


def test_a_run_in_which_every_order_is_at_an_end_is_settled() -> None:
    """Shipped, failed, cancelled and waiting orders add up to all orders."""
    assert DONE.settled
    assert DONE.shipped == 2


@pytest.mark.parametrize(
    "moving",
    [
        replace(DONE, waiting=0),
        replace(DONE, lag={"tidegate-bridge": 1}),
        replace(DONE, parked=1),
        replace(DONE, upstream_tasks=1),
        replace(DONE, open_processes=1),
        replace(DONE, orders=6),
    ],
)
def test_a_run_with_anything_in_flight_is_not_settled(moving: Progress) -> None:
    """A lag, a parked event, a task of the floor, an order on its way: each keeps the run going."""
    assert not moving.settled


def test_a_rejected_submission_counts_as_failed() -> None:
    """OMS refuses an invalid order: it is at an end, and has failed."""
    assert replace(DONE, states={"REJECTED": 2}).failed == 2


def test_the_line_names_what_holds_a_run_up() -> None:
    """Lag and parked events are in the line as soon as there are any."""
    line = replace(DONE, lag={"tidegate-bridge": 3}, parked=2).line()
    assert "tidegate-bridge 3" in line
    assert "parked 2" in line
