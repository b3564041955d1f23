"""The watchdog: nothing that comes back in time is given up, and nothing that stays away is waited for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.runtime.watchdog import Watchdog

PATIENCE, INTERVAL = 60.0, 1.0
STEPS = st.floats(0.5, 4.9)
"""Seconds between two looks of a process that runs."""


def verdicts(looks: list[tuple[float, float]], watchdog: Watchdog | None = None) -> list[float]:
    """The moments of ``looks`` (moment, seconds that a sign has been missing) at which the client is given up."""
    dog = watchdog or Watchdog(PATIENCE, interval=INTERVAL)
    return [now for now, missing in looks if dog.look(now, {"poll": 0.0, "fetch": missing}) == "fetch"]


@given(steps=st.lists(STEPS, min_size=1, max_size=200), quiet=st.floats(0, PATIENCE))
def test_what_comes_back_in_time_is_never_given_up(steps: list[float], quiet: float) -> None:
    """However often a sign is missing for as long as the patience, it is no verdict."""
    now, looks = 1000.0, list[tuple[float, float]]()
    for step in steps:
        now += step
        looks.append((now, quiet))
    assert verdicts(looks) == []


@settings(max_examples=30)
@given(steps=st.lists(STEPS, min_size=150, max_size=200))
def test_what_stays_away_is_given_up_once_its_time_is_over(steps: list[float]) -> None:
    """One look after the patience is over at the latest, and not before; the next time takes twice as long."""
    now = began = 1000.0
    looks = [(began, 0.0)]
    for step in steps * 3:
        now += step
        looks.append((now, now - began))
    first, *later = verdicts(looks)
    assert PATIENCE < first - began <= PATIENCE + max(steps)
    gaps = [b - a for a, b in zip([first, *later], later, strict=False)]
    assert all(gap > 2 * PATIENCE for gap in gaps)


@given(frozen=st.floats(PATIENCE, 10_000), before=st.integers(1, 50))
def test_a_process_that_stood_still_itself_blames_nobody(frozen: float, before: int) -> None:
    """After SIGSTOP, or a night in which the machine slept, everything is late and nothing is wrong."""
    looks = [(float(now), 0.0) for now in range(before)]
    looks.append((before + frozen, frozen))
    assert verdicts(looks) == []


def test_a_cause_outside_is_forgiven() -> None:
    """While the brokers are away the time does not run."""
    dog = Watchdog(PATIENCE, interval=INTERVAL)
    found = []
    for now in range(600):
        if now % 50 == 0:
            dog.forgive(float(now))
        found.append(dog.look(float(now), {"assignment": float(now)}))
    assert set(found) == {None}


def test_a_client_that_works_again_gets_the_usual_patience() -> None:
    """The doubling ends with a time in which nothing was missing."""
    dog = Watchdog(PATIENCE, interval=INTERVAL)
    stuck = verdicts([(float(now), float(now)) for now in range(100)], dog)
    well = verdicts([(float(now), 0.0) for now in range(100, 400)], dog)
    again = verdicts([(float(now), float(now - 400)) for now in range(400, 500)], dog)
    assert (stuck, well, again) == ([61.0], [], [461.0])
