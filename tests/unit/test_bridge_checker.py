"""The checker of the bridge's faults, with each fault that must make it speak."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from tests.faults.bridge_checker import Happened, Produced, check
from tests.faults.bridge_plan import Role, make_plan
from tidegate.audit import LedgerEntry

ONE, TWO, THREE, LATE, BAD = (UUID(int=number) for number in range(1, 6))


def _produced(event_id: UUID, offset: int, key: str = "k", **what: Any) -> Produced:
    return Produced(event_id, key, f"recipient-{key}", 0, offset, **{"fate": "handled", **what})


def _entry(record: Produced, outcome: str = "delivered") -> LedgerEntry:
    return LedgerEntry(
        event_id=record.event_id,
        topic="t",
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        workflow_id=record.workflow_id,
        route="r",
        outcome=outcome,
        in_order=outcome == "delivered",
    )


@pytest.fixture
def sound() -> Happened:
    """Three events of one key, the second there twice; one too late for a workflow that closed; one that is bad."""
    plain = tuple(_produced(event_id, offset) for offset, event_id in enumerate((ONE, TWO, TWO, THREE)))
    late = _produced(LATE, 9, key="closing", fate="handled or late")
    bad = _produced(BAD, 10, fate="poison", reason="truncated")
    return Happened(
        produced=(*plain, late, bad),
        handled={"recipient-k": (ONE, TWO, THREE), "recipient-closing": ()},
        signalled={("recipient-k", "first"): (ONE, TWO), ("recipient-k", "second"): (TWO, THREE)},
        ledger=(*map(_entry, plain), _entry(late, "late"), _entry(bad, "dead_lettered")),
        letters=((BAD, "truncated"),),
    )


def test_sound_evidence_has_no_finding(sound: Happened) -> None:
    """Repeats, also in another run's history, late events and explained dead letters are in order."""
    assert check(sound) == ()


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("lost", {"handled": {"recipient-k": (ONE, TWO)}}),
        ("lost", {"letters": ()}),
        ("lost", {"parked": (THREE,)}),
        ("duplicate effect", {"handled": {"recipient-k": (ONE, TWO, TWO, THREE)}}),
        ("duplicate effect", {"handled": {"recipient-k": (ONE, TWO, THREE), "recipient-other": (ONE,)}}),
        ("duplicate signal", {"signalled": {("recipient-k", "first"): (ONE, TWO, TWO, THREE)}}),
        ("inversion", {"handled": {"recipient-k": (TWO, ONE, THREE)}}),
        ("unexplained dead letter", {"letters": ((BAD, "truncated"), (ONE, "refused"))}),
        ("unexplained dead letter", {"letters": ((BAD, "truncated"), (BAD, "undecodable"))}),
    ],
)
def test_each_fault_is_found(sound: Happened, kind: str, changes: dict[str, Any]) -> None:
    """What was planted is found, and nothing else."""
    assert {finding.kind for finding in check(replace(sound, **changes))} == {kind}


def test_an_event_without_ledger_entry_is_lost(sound: Happened) -> None:
    """Also where its workflow has handled it: nothing would know of it when the topic is replayed."""
    ledger = tuple(entry for entry in sound.ledger if entry.event_id != THREE)
    assert [finding.kind for finding in check(replace(sound, ledger=ledger))] == ["lost"]


def test_a_late_event_that_nobody_recorded_is_lost(sound: Happened) -> None:
    """Too late is an outcome only where the ledger says so."""
    ledger = tuple(replace(entry, outcome="delivered") for entry in sound.ledger)
    assert [finding.kind for finding in check(replace(sound, ledger=ledger))] == ["lost"]


def test_a_ledger_out_of_order_is_found(sound: Happened) -> None:
    """First deliveries of a key that were written down in another order than they were produced."""
    first, second, *rest = sound.ledger
    findings = check(replace(sound, ledger=(second, first, *rest)))
    assert [finding.kind for finding in findings] == ["inversion"]


def test_a_seed_makes_one_plan() -> None:
    """The same seed draws the same records, another seed others; every role and both kinds of repeats are there."""
    plan, same, other = (make_plan(seed, prefix="k", keys=100, events=2_000, chunks=7) for seed in (7, 7, 8))
    assert plan == same
    assert plan.chunks != other.chunks
    assert set(plan.roles.values()) == set(Role)
    chunks_of: dict[UUID, list[int]] = {}
    for number, chunk in enumerate(plan.chunks):
        for planned in chunk:
            chunks_of.setdefault(planned.event_id, []).append(number)
    assert len(chunks_of) == 2_000
    repeats = [where for where in chunks_of.values() if len(where) == 2]
    assert {first == second for first, second in repeats} == {True, False}
