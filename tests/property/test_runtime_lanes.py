"""Lanes under random schedules: order per key, one in flight per key, nothing lost, nothing twice."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from consumers.runtime.lanes import Lane, Lanes, Partition
from tests.effort import tries

PLACES = ("p0", "p1")
KEYS = (b"a", b"b", b"c", None)
TestLane = Lane[str, int]


class LanesMachine(RuleBasedStateMachine):
    """Puts, takes, finishes, retries, closes, opens and lets go in any order, against a plain model."""

    taken = Bundle("taken")
    resting = Bundle("resting")

    def __init__(self) -> None:
        super().__init__()
        self.lanes: Lanes[str, int] = Lanes()
        self.next_offset = dict.fromkeys(PLACES, 0)
        self.expected: dict[tuple[str, bytes | None], list[int]] = {}
        self.busy: set[tuple[str, bytes | None]] = set()
        self.waiting: set[tuple[str, bytes | None]] = set()
        self.asleep: set[TestLane] = set()
        """Lanes whose time has not come: each is woken once, as by its timer, though it be dropped by then."""
        for place in PLACES:
            self.lanes.add_partition(place)

    def _name(self, lane: TestLane) -> tuple[str, bytes | None]:
        return (lane.partition.place, lane.key)

    def _busy_lanes(self) -> list[TestLane]:
        return [lane for partition in self.lanes for lane in partition.lanes.values() if lane.busy]

    def _partition(self, place: str) -> Partition[str, int]:
        found = self.lanes.partition(place)
        assert found is not None
        return found

    @rule(
        place=st.sampled_from(PLACES),
        keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=6),
        gap=st.integers(1, 3),
    )
    def put(self, place: str, keys: list[bytes | None], gap: int) -> None:
        for key in keys:
            offset = self.next_offset[place] = self.next_offset[place] + gap
            assert self.lanes.put(place, key, offset, offset)
            self.expected.setdefault((place, key), []).append(offset)

    @rule(place=st.sampled_from(PLACES))
    def put_again(self, place: str) -> None:
        if self._partition(place).tracker.newest is not None:
            assert not self.lanes.put(place, b"a", self.next_offset[place], 0)

    @rule(target=taken, run=st.integers(1, 4))
    def take(self, run: int) -> TestLane | None:
        """Take a lane, and of one that has not failed a run of its records, as batches do."""
        lane = self.lanes.take()
        if lane is None:
            return None
        name = self._name(lane)
        assert name not in self.busy, "one record of a key in flight"
        assert name not in self.waiting, "a key that waits is not taken"
        assert not lane.partition.closed or lane.probe, "a closed partition is not taken from"
        assert lane.head[0] == self.expected[name][0], "the oldest of the key comes first"
        if not lane.failures and not lane.probe:
            lane.taken = min(run, len(lane.items))
        self.busy.add(name)
        return lane

    @rule()
    def take_and_put_back(self) -> None:
        lane = self.lanes.take()
        if lane is not None:
            self.lanes.put_back(lane)
            again = self.lanes.take()
            assert again is lane, "what was put back is the next"
            self.lanes.put_back(lane)

    @rule(lane=consumes(taken))
    def finish(self, lane: TestLane | None) -> None:
        if lane is None:
            return
        if lane.dropped:
            assert not self.lanes.finish(lane), "a late acknowledgement is dropped"
            return
        name, offsets = self._name(lane), [lane.items[at][0] for at in range(lane.taken)]
        probed, lane.probe = lane.probe, False
        assert self.lanes.finish(lane)
        assert [self.expected[name].pop(0) for _ in offsets] == offsets
        self.busy.remove(name)
        if probed:
            self.lanes.open(lane.partition)

    @rule(target=resting, lane=consumes(taken), now=st.booleans(), part=st.floats(0, 0.99))
    def again(self, lane: TestLane | None, now: bool, part: float) -> TestLane | None:
        if lane is None:
            return None
        probed, done = lane.probe, int(part * lane.taken)
        finished = [lane.items[at][0] for at in range(done)]
        if not self.lanes.again(lane, now=now, done=done):
            assert lane.dropped
            return None
        assert [self.expected[self._name(lane)].pop(0) for _ in finished] == finished
        assert lane.failures >= 1
        self.busy.remove(self._name(lane))
        if now:
            return None
        lane.probe = False
        self.waiting.add(self._name(lane))
        self.asleep.add(lane)
        if probed:
            self.lanes.open(lane.partition)
        return lane

    @rule(lane=consumes(resting))
    def wake(self, lane: TestLane | None) -> None:
        if lane is None or lane not in self.asleep:
            return
        self._wake(lane)
        if not lane.dropped:
            self.waiting.discard(self._name(lane))

    def _wake(self, lane: TestLane) -> None:
        self.asleep.remove(lane)
        self.lanes.wake(lane)

    def _wake_all(self, partition: Partition[str, int]) -> None:
        for lane in partition.lanes.values():
            if lane in self.asleep:
                self._wake(lane)

    @rule(place=st.sampled_from(PLACES))
    def close(self, place: str) -> None:
        self.lanes.close(self._partition(place))

    @rule(place=st.sampled_from(PLACES))
    def try_one(self, place: str) -> None:
        self.lanes.try_one(self._partition(place))

    @precondition(lambda self: self.expected)
    @rule(failing=st.integers(0, 3))
    def let_go(self, failing: int) -> None:
        """Partitions go and come back: everything unfinished is read again from the commit.

        What waited is tried again meanwhile, and for a closed partition one lane tries; the first tries fail once more.
        """
        newest = {partition.place: partition.tracker.newest_finished for partition in self.lanes}
        in_flight = [(self._name(lane)[0], lane.items[lane.taken - 1][0]) for lane in self._busy_lanes()]
        self.lanes.wind_down()
        for partition in self.lanes:
            if not any(lane.probe for lane in partition.lanes.values()):
                self.lanes.try_one(partition)
            self._wake_all(partition)
        while (lane := self.lanes.take()) is not None:
            begun = [
                newest[lane.partition.place] or -1,
                *(at for p, at in in_flight if p == lane.partition.place),
            ]
            assert lane.head[0] <= max(begun), "nothing new is begun"
            if failing:
                failing -= 1
                probed = lane.probe
                if self.lanes.again(lane, now=False):
                    self.lanes.wake(lane)
                if probed:
                    self.lanes.open(lane.partition)
                continue
            self.expected[self._name(lane)].remove(lane.head[0])
            probed, lane.probe = lane.probe, False
            self.lanes.finish(lane)
            if probed:
                self.lanes.open(lane.partition)
        for busy in self._busy_lanes():
            assert len(busy.items) >= busy.taken, "what is in flight is not trimmed away"
        for partition in self.lanes:
            if not any(lane.busy for lane in partition.lanes.values()):
                done = partition.tracker.newest_finished
                low = partition.tracker.oldest_unfinished
                assert done is None or low is None or done < low, "nothing finished will be repeated"
        heads = {
            partition.place: partition.tracker.oldest_unfinished
            for partition in self.lanes
            if partition.tracker.oldest_unfinished is not None
        }
        for place, head in heads.items():
            for (at, _), offsets in self.expected.items():
                assert at != place or all(offset >= head for offset in offsets), "no commit passes it"
        self.lanes.drop()
        self.busy.clear()
        self.waiting.clear()
        self.expected.clear()
        for place in PLACES:
            self.lanes.add_partition(place)

    @invariant()
    def nothing_is_lost(self) -> None:
        assert self.lanes.buffered == sum(len(offsets) for offsets in self.expected.values())
        assert self.lanes.in_flight == len(self.busy)

    def teardown(self) -> None:
        """With every partition open and every key awake, all that is left comes out in order."""
        for partition in self.lanes:
            self.lanes.open(partition)
        for partition in self.lanes:
            self._wake_all(partition)
        self.waiting.clear()
        while (lane := self.lanes.take()) is not None:
            name = self._name(lane)
            assert name not in self.busy
            assert self.expected[name].pop(0) == lane.head[0]
            self.lanes.finish(lane)
        left = {name for name, offsets in self.expected.items() if offsets}
        assert left <= self.busy, "only what is in flight may be left"


LanesMachine.TestCase.settings = settings(max_examples=tries(60, 1_000), stateful_step_count=60)
TestLanes = LanesMachine.TestCase


def test_a_run_that_is_in_flight_is_kept_whole() -> None:
    """Partitions go while a batch is under way: what of it ends in time is committed, and nothing new is begun."""
    lanes: Lanes[str, int] = Lanes()
    lanes.add_partition("p0")
    for offset in range(4):
        lanes.put("p0", b"a", offset, offset)
    lane = lanes.take()
    assert lane is not None
    lane.taken = 3
    lanes.wind_down()
    assert [offset for offset, _ in lane.items] == [0, 1, 2]
    assert lanes.finish(lane)
    assert lanes.take() is None
    (partition,) = lanes
    assert partition.tracker.commitable == 3
