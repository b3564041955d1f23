"""The circuit breaker for dead letters."""

from __future__ import annotations

import pytest

from consumers.bridge.breaker import BreakerOptions, DeadLetterBreaker
from consumers.errors import ConsumerPausedError
from infra.settings import DeadLettersSettings
from tidegate.wiring.bridge import breaker_options


class Clock:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def breaker(clock: Clock) -> DeadLetterBreaker:
    """A breaker that judges from 4 events on and opens at one half, for 30 seconds."""
    return DeadLetterBreaker(BreakerOptions(window=8, minimum=4, ratio=0.5, cooldown=30), clock)


def test_a_few_dead_letters_pass() -> None:
    """Below the minimum nothing is judged, and below the ratio nothing opens."""
    made = breaker(Clock())
    for _ in range(3):
        made.admit_dead_letter()
    for _ in range(5):
        made.good()
    made.admit_dead_letter()
    assert not made.is_open


def test_a_flood_opens_it_until_the_pause_is_over() -> None:
    """At the ratio it opens; while it is open nothing passes; afterwards events are judged anew."""
    clock = Clock()
    made = breaker(clock)
    for _ in range(4):
        made.admit_dead_letter()
    with pytest.raises(ConsumerPausedError) as opened:
        made.admit_dead_letter()
    assert opened.value.retry_after == 30
    clock.now += 10
    with pytest.raises(ConsumerPausedError) as still:
        made.admit_dead_letter()
    assert still.value.retry_after == 20
    clock.now += 20
    for _ in range(4):
        made.admit_dead_letter()
    with pytest.raises(ConsumerPausedError):
        made.admit_dead_letter()


def test_a_run_opens_it_whatever_came_before() -> None:
    """So many dead letters in a row are too many, where the ratio of the window is still small; one good event between
    them begins a new run."""
    opened: list[str] = []
    options = BreakerOptions(window=1000, minimum=900, ratio=0.9, run=3, cooldown=30)
    made = DeadLetterBreaker(options, Clock(), opened=lambda: opened.append("opened"))
    for _ in range(500):
        made.good()
    for _ in range(2):
        made.admit_dead_letter()
    made.good()
    for _ in range(3):
        made.admit_dead_letter()
    assert opened == []
    with pytest.raises(ConsumerPausedError, match="3 events in a row became dead letters"):
        made.admit_dead_letter()
    assert made.is_open
    assert opened == ["opened"]


def test_the_settings_are_the_options() -> None:
    """Each option has a setting of its own, with the same default."""
    assert breaker_options(DeadLettersSettings()) == BreakerOptions()
    told = DeadLettersSettings(
        breaker_window=1, breaker_minimum=2, breaker_ratio=0.3, breaker_run=4, breaker_rest=5
    )
    assert breaker_options(told) == BreakerOptions(1, 2, 0.3, 4, 5)
