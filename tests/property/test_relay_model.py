"""The relay's promises over a model: any interleaving of writers, two relays, crashes of either and of the database.

Nothing is started, so hundreds of stories are told in the time that one takes on servers. A mutation takes a guard
away, and a story is found that shows what the guard is there for. `idempotent` repeats at most a page for each session
that began again; `transactional` repeats nothing.
"""

from __future__ import annotations

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.relay_checker import wrongs
from tests.relay_model import PAGE, Broker, Database, Guards, ModelRelay

KEYS = ("a", "b", "c")


class RelayStory(RuleBasedStateMachine):
    """What may happen, in any order."""

    transactional = True
    guards = Guards()

    def __init__(self) -> None:
        super().__init__()
        self.database = Database()
        self.broker = Broker()
        self.relays = [
            ModelRelay(self.database, self.broker, self.guards, transactional=self.transactional)
            for _ in range(2)
        ]

    @rule()
    def begin(self) -> None:
        """A transaction draws its number before it does anything."""
        if len(self.database.running) < 4:
            self.database.begin()

    @precondition(lambda self: self.database.running)
    @rule(data=st.data(), key=st.sampled_from(KEYS))
    def append(self, data: st.DataObject, key: str) -> None:
        """One of them appends, once it has the key's lock."""
        xid = data.draw(st.sampled_from(sorted(self.database.running)))
        if self.database.locked(key) in (None, xid):
            self.database.append(xid, key)

    @rule(key=st.sampled_from(KEYS))
    def append_and_commit(self, key: str) -> None:
        """A short transaction from beginning to end."""
        if self.database.locked(key) is None:
            xid = self.database.begin()
            self.database.append(xid, key)
            self.database.end(xid, commit=True)

    @precondition(lambda self: self.database.running)
    @rule(data=st.data(), commit=st.sampled_from([True, True, False]))
    def end(self, data: st.DataObject, *, commit: bool) -> None:
        """One of them commits or rolls back."""
        self.database.end(data.draw(st.sampled_from(sorted(self.database.running))), commit=commit)

    @rule(who=st.sampled_from([0, 0, 0, 1]), steps=st.integers(1, 8))
    def relay(self, who: int, steps: int) -> None:
        """A relay goes on to a next point. The other stands where it was: frozen, as far as this one can tell."""
        for _ in range(steps):
            self.relays[who].step()

    @rule(who=st.integers(0, 1))
    def kill(self, who: int) -> None:
        """A relay dies where it is."""
        self.relays[who].die()

    @rule()
    def crash(self) -> None:
        """The database dies and comes back; whoever was connected begins again."""
        self.database.crash()
        for relay in self.relays:
            relay.die()

    @invariant()
    def order_holds(self) -> None:
        """No key is ever out of order, and nothing is published that was not committed."""
        committed = self.committed()
        assert [wrong for wrong in self.wrongs(committed) if not wrong.startswith("lost")] == []

    def teardown(self) -> None:
        """In the end everything commits, one relay goes on to the end, and nothing is lost."""
        for xid in sorted(self.database.running):
            self.database.end(xid, commit=True)
        before = self.relays[0].begun
        for _ in range(60 + 8 * len(self.database.committed)):
            self.relays[0].step()
        assert self.relays[0].begun <= before + 1
        assert self.wrongs(self.committed()) == []

    def committed(self) -> dict[str, list[int]]:
        """Versions by key."""
        found: dict[str, list[int]] = {}
        for row in self.database.committed:
            found.setdefault(row.key, []).append(row.version)
        return found

    def wrongs(self, committed: dict[str, list[int]]) -> list[str]:
        """What is wrong with the log so far."""
        sessions = sum(relay.begun for relay in self.relays)
        repeats = 0 if self.transactional else PAGE * max(0, sessions - 1)
        return wrongs(committed, self.broker.log, repeats=repeats)


def _tell(stories: int, *, transactional: bool, guards: Guards, steps: int = 50) -> None:
    told = type("Told", (RelayStory,), {"transactional": transactional, "guards": guards})
    limits = settings(
        max_examples=stories,
        stateful_step_count=steps,
        derandomize=True,
        phases=[Phase.generate],
    )
    run_state_machine_as_test(told, settings=limits)


@pytest.mark.parametrize("transactional", [False, True])
def test_no_story_breaks_a_promise(*, transactional: bool) -> None:
    """With every guard in its place nothing is lost, out of order, or repeated beyond what the profile allows."""
    _tell(60, transactional=transactional, guards=Guards())


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("transactional", [False, True])
def test_no_story_of_many_breaks_a_promise(*, transactional: bool) -> None:
    """The same, longer."""
    _tell(5_000, transactional=transactional, guards=Guards(), steps=100)


@pytest.mark.parametrize(
    ("transactional", "guards", "shows"),
    [
        (False, Guards(snapshot=False), "lost|never|order"),
        (False, Guards(acknowledged_first=False), "lost"),
        (False, Guards(epoch=False), "repeated"),
        pytest.param(False, Guards(proven_floor=False), "lost|order", marks=pytest.mark.soak),  # a rare story
        (True, Guards(fence=False), "repeated"),
        (True, Guards(named_first=False), "lost|repeated"),
    ],
    ids=[
        "by id",
        "before the acknowledgement",
        "no epoch",
        "tempting floor",
        "no fence",
        "window not named first",
    ],
)
def test_without_a_guard_a_story_is_found(*, transactional: bool, guards: Guards, shows: str) -> None:
    """Each guard is needed: there is a story in which a promise is broken without it."""
    with pytest.raises(AssertionError, match=shows):
        _tell(1500, transactional=transactional, guards=guards)
