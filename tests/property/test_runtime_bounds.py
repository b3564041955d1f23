"""What a consumer holds is bounded, also when one key never makes progress."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.runtime.budget import Load, should_pause
from consumers.runtime.lanes import Lanes
from consumers.runtime.options import RuntimeOptions
from infra.errors import MisuseError

PLACES = ("p0", "p1", "p2")
STUCK = b"stuck"


@dataclass
class Feed:
    """Reads partitions that never end into lanes, a poll at a time, and pauses as the runtime does."""

    options: RuntimeOptions
    dice: random.Random
    lanes: Lanes[str, None] = field(default_factory=Lanes)
    offsets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PLACES, 0))
    most: Load = field(default_factory=lambda: Load(0, 0, 0))

    def __post_init__(self) -> None:
        for place in PLACES:
            self.lanes.add_partition(place)

    def poll(self) -> None:
        """Read at most ``poll_records`` records of the partitions that are not paused; then look at the bounds."""
        open_ = [each for each in self.lanes if not each.paused]
        left = self.options.poll_records
        for partition in self.dice.sample(open_, len(open_)):
            count = self.dice.randint(0, left)
            left -= count
            for _ in range(count):
                self.offsets[partition.place] += self.dice.randint(1, 3)
                key = STUCK if self.dice.random() < 0.02 else b"%d" % self.dice.randrange(50)
                self.lanes.put(partition.place, key, self.offsets[partition.place], None)
        for partition in self.lanes:
            load = Load(partition.buffered, self.lanes.buffered, partition.tracker.unfinished)
            self.most = Load(*map(max, zip(_numbers(self.most), _numbers(load), strict=True)))
            partition.paused = should_pause(
                load, paused=partition.paused, closed=partition.closed, options=self.options
            )

    def work(self) -> None:
        """Handle everything but the key that is stuck in the first partition."""
        while (lane := self.lanes.take()) is not None:
            if lane.key == STUCK and lane.partition.place == PLACES[0]:
                self.lanes.again(lane, now=False)
            else:
                self.lanes.finish(lane)


def _numbers(load: Load) -> tuple[int, int, int]:
    return load.buffered, load.total, load.unfinished


@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    span=st.integers(20, 400),
    high=st.integers(10, 200),
    total=st.integers(20, 300),
)
def test_a_key_that_never_makes_progress_holds_back_only_so_much(
    seed: int, span: int, high: int, total: int
) -> None:
    """Each bound is passed by at most one poll, whatever is read in which order; other partitions go on for ever."""
    options = RuntimeOptions(
        group_id="g",
        poll_records=40,
        high_water=high,
        low_water=high // 2,
        total_high_water=total,
        total_low_water=total // 2,
        span=span,
    )
    feed = Feed(options, random.Random(seed))
    for _ in range(120):
        feed.poll()
        if feed.dice.random() < 0.5:  # else the workers are behind
            feed.work()
    assert feed.most.buffered < high + options.poll_records
    assert feed.most.total < total + options.poll_records
    assert feed.most.unfinished < span + options.poll_records
    stuck, *others = (feed.offsets[place] for place in PLACES)
    first = feed.lanes.partition(PLACES[0])
    assert first is not None
    assert stuck <= 3 * (span + 40) + 3 * first.handled
    assert first.tracker.unfinished < span + 40
    assert all(other > 120 for other in others)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"workers": 0}, "at least one worker"),
        ({"low_water": 2_000}, "low_water < high_water"),
        ({"total_low_water": 20_000}, "low_water < high_water"),
        ({"drain_timeout": 60.0}, "drain_timeout must be below"),
        ({"stuck_after": 60.0}, "stuck_after must be above"),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, float], words: str) -> None:
    """Each with a sentence that says what must hold."""
    with pytest.raises(MisuseError, match=words):
        RuntimeOptions(group_id="g", **changes)  # type: ignore[arg-type]
