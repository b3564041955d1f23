"""What must hold of a bridge after any fault, as one pure function from what happened to what is wrong with it.

What the ledger says is judged by the audit that users run (:mod:`tidegate.audit`); what workflows have handled, which
the audit cannot see, is judged here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from tidegate.audit import Evidence, LedgerEntry, Record, audit

Fate = Literal["handled", "handled or late", "expired", "poison"]
"""What must become of an event: its workflow handles it; or it comes too late for one that closes; or it becomes a dead
letter because its workflow never comes, or because it is bad."""


@dataclass(frozen=True, slots=True)
class Produced:
    """One record of the topic; a repeat has the event id of an earlier one. ``reason`` is that of its dead letter."""

    event_id: UUID
    key: str
    workflow_id: str
    partition: int
    offset: int
    fate: Fate
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Happened:
    """All that one run has left behind.

    ``handled`` are the events that each workflow has handled, in order; ``signalled`` those in the history of each of
    its runs, by workflow and run id; ``ledger`` its entries, in order; ``letters`` event id and reason of each dead
    letter; ``parked`` the events that still wait.
    """

    produced: tuple[Produced, ...]
    handled: Mapping[str, tuple[UUID, ...]]
    signalled: Mapping[tuple[str, str], tuple[UUID, ...]]
    ledger: tuple[LedgerEntry, ...]
    letters: tuple[tuple[UUID, str], ...] = ()
    parked: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise broken, and where."""

    kind: Literal["lost", "duplicate effect", "duplicate signal", "inversion", "unexplained dead letter"]
    what: str


_OF_THE_AUDIT: Mapping[str, Literal["lost", "inversion"]] = {"lost": "lost", "out_of_order": "inversion"}


def check(happened: Happened) -> tuple[Finding, ...]:
    """Everything that breaks a promise; empty when all adds up."""
    first: dict[UUID, Produced] = {}
    for record in sorted(happened.produced, key=lambda record: (record.partition, record.offset)):
        first.setdefault(record.event_id, record)
    return (
        *_lost(happened, first),
        *_handled_twice(happened),
        *_signalled_twice(happened),
        *_handled_out_of_order(happened, first),
        *_unexplained(happened, first),
        *_by_the_audit(happened),
    )


def _lost(happened: Happened, first: Mapping[UUID, Produced]) -> Iterator[Finding]:
    handled = {event_id for told in happened.handled.values() for event_id in told}
    late = {entry.event_id for entry in happened.ledger if entry.outcome == "late"}
    buried = {event_id for event_id, _ in happened.letters}
    for event_id, record in first.items():
        match record.fate:
            case "handled":
                lost = event_id not in handled
            case "handled or late":
                lost = event_id not in handled and event_id not in late
            case "expired" | "poison":
                lost = event_id not in buried
        if lost:
            yield Finding("lost", f"{_name(record)} was not {record.fate}")
    for event_id in happened.parked:
        yield Finding("lost", f"event {event_id} still waits, and its workflow is there")


def _handled_twice(happened: Happened) -> Iterator[Finding]:
    for workflow_id, told in happened.handled.items():
        for event_id, times in Counter(told).items():
            if times > 1:
                yield Finding("duplicate effect", f"{workflow_id} handled event {event_id} {times} times")


def _signalled_twice(happened: Happened) -> Iterator[Finding]:
    for (workflow_id, run_id), signals in happened.signalled.items():
        for event_id, times in Counter(signals).items():
            if times > 1:
                yield Finding(
                    "duplicate signal", f"run {run_id} of {workflow_id} has event {event_id} {times} times"
                )


def _handled_out_of_order(happened: Happened, first: Mapping[UUID, Produced]) -> Iterator[Finding]:
    for workflow_id, told in happened.handled.items():
        highest = -1
        for event_id in dict.fromkeys(told):
            record = first.get(event_id)
            if record is None or record.workflow_id != workflow_id:
                yield Finding("duplicate effect", f"{workflow_id} handled event {event_id} of another")
            elif record.offset < highest:
                yield Finding("inversion", f"{workflow_id} handled {_name(record)} after offset {highest}")
            else:
                highest = record.offset


def _unexplained(happened: Happened, first: Mapping[UUID, Produced]) -> Iterator[Finding]:
    for event_id, reason in happened.letters:
        record = first.get(event_id)
        if record is None or record.reason != reason:
            yield Finding("unexplained dead letter", f"event {event_id} is a dead letter: {reason}")


def _by_the_audit(happened: Happened) -> Iterator[Finding]:
    records = tuple(
        Record(
            topic="t",
            partition=each.partition,
            offset=each.offset,
            key=each.key,
            event_id=each.event_id,
            type=each.fate,
            source="/tests",
            subject=None,
            sequence=None,
            routed=True,
        )
        for each in happened.produced
    )
    evidence = Evidence(
        rows=(),
        records=records,
        ledger=happened.ledger,
        waiting_events=frozenset(happened.parked),
        submissions={},
        workflows=frozenset(),
    )
    for finding in audit(evidence):
        yield Finding(_OF_THE_AUDIT[finding.kind], finding.what)


def _name(record: Produced) -> str:
    return f"event {record.event_id} (key {record.key}, {record.partition}@{record.offset})"
