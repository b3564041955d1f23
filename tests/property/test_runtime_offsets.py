"""The offset tracker never lets a commit pass a record that is not finished."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consumers.runtime.offsets import OffsetTracker

OFFSETS = st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True).map(sorted)


@given(offsets=OFFSETS, data=st.data())
def test_the_head_never_passes_an_unfinished_record(offsets: list[int], data: st.DataObject) -> None:
    """With holes between offsets and records finishing in any order, the head is one past the last record below
    which all is finished, whatever the moment."""
    tracker = OffsetTracker()
    for offset in offsets:
        assert tracker.add(offset)
    left = list(offsets)
    order = data.draw(st.permutations(offsets))
    for offset in order[: data.draw(st.integers(0, len(order)))]:
        tracker.finish(offset)
        left.remove(offset)
        below = [each for each in offsets if not left or each < left[0]]
        assert tracker.commitable == (below[-1] + 1 if below else None)
        assert tracker.oldest_unfinished == (left[0] if left else None)
        assert tracker.unfinished == len(offsets) - len(below)


@given(offsets=OFFSETS, data=st.data())
def test_records_arrive_while_others_finish(offsets: list[int], data: st.DataObject) -> None:
    """Interleaving arrivals and ends changes nothing: once all are finished the head is past the newest."""
    tracker, arrived, finished = OffsetTracker(), list[int](), set[int]()
    waiting = list(offsets)
    while waiting or len(finished) < len(offsets):
        open_ = [each for each in arrived if each not in finished]
        if waiting and (not open_ or data.draw(st.booleans())):
            arrived.append(waiting.pop(0))
            tracker.add(arrived[-1])
        else:
            chosen = data.draw(st.sampled_from(open_))
            finished.add(chosen)
            tracker.finish(chosen)
        head = tracker.commitable
        assert head is None or all(each in finished for each in arrived if each < head)
    assert tracker.commitable == offsets[-1] + 1


@given(offsets=OFFSETS, again=st.integers(0, 10_000))
def test_an_offset_that_was_seen_is_refused(offsets: list[int], again: int) -> None:
    """A record at or below the newest one is not taken a second time."""
    tracker = OffsetTracker()
    for offset in offsets:
        tracker.add(offset)
    assert tracker.add(again) is (again > offsets[-1])


def test_nothing_new_is_not_committed_again() -> None:
    """What was committed is offered again only after it has moved."""
    tracker, offered = OffsetTracker(), list[int | None]()
    tracker.add(7)
    offered.append(tracker.commitable)
    tracker.finish(7)
    offered.append(tracker.commitable)
    tracker.committed(8)
    offered.append(tracker.commitable)
    assert offered == [None, 8, None]
