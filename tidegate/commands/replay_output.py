"""How commands that do something to many events tell what they would do, what they do, and what they did."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from consumers.replay.audit import Tally
from consumers.replay.errors import StoppedError
from consumers.replay.runs import Preview, RunReport
from tidegate.console import emit_table, note, say

_EVERY = 1.0

_MEANINGS = {
    "start": "would start a workflow, or find that it ran before",
    "signal": "would signal a workflow",
    "nothing": "had their effect before: the ledger has them",
    "dead_letter": "cannot be delivered: dead letters",
    "discard": "would be given up for good",
    "no_route": "nobody routes them",
}


def preview_as_json(found: Preview) -> dict[str, Any]:
    """What would be done, as JSON values."""
    return {
        "records": found.records,
        "by_type": {name: dict(counts) for name, counts in found.by_type.items()},
    }


def say_preview(found: Preview, command: str) -> None:
    """What would be done, and how to do it."""
    told = [name for name in _MEANINGS if any(name in counts for counts in found.by_type.values())]
    columns = ("type", "records", *told)
    rows = [{"type": name, **counts} for name, counts in sorted(found.by_type.items())]
    emit_table(f"{found.records} records (dry run: nothing was sent)", rows, columns)
    for name in told:
        say(f"{name.replace('_', ' ')}: {_MEANINGS[name]}")
    if found.records:
        say(f"to do it: {command} … --execute")


def report_as_json(report: RunReport) -> dict[str, Any]:
    """What was done, as JSON values."""
    return {
        "run_id": report.run_id,
        "status": report.status,
        "records": report.tally.records,
        "outcomes": dict(report.tally.outcomes),
        "reached": dict(report.tally.reached),
    }


def say_report(report: RunReport) -> None:
    """What was done."""
    say(f"{report.status}: {_line(report.tally)}; run {report.run_id}")


def require_whole(report: RunReport, what: str) -> None:
    """Raise :class:`StoppedError`, which says how far it came, for a run that was stopped."""
    if report.status == "stopped":
        reached = ", ".join(f"{partition}:{offset}" for partition, offset in report.tally.reached.items())
        raise StoppedError(
            f"stopped after {report.tally.records} {what}"
            + (f", the last ones {reached}" if reached else "")
            + f"; run {report.run_id} says so, and the same command goes on with the rest"
        )


def tally_progress() -> Callable[[Tally], None]:
    """Progress of a run on standard error, about once a second."""
    due = _due()

    def progress(tally: Tally) -> None:
        if due():
            note(_line(tally))

    return progress


def count_progress() -> Callable[[int], None]:
    """Progress of a look on standard error, about once a second."""
    due = _due()

    def progress(records: int) -> None:
        if due():
            note(f"{records} records looked at")

    return progress


def _line(tally: Tally) -> str:
    outcomes = ", ".join(f"{count} {outcome.replace('_', ' ')}" for outcome, count in tally.outcomes.items())
    return f"{tally.records} records" + (f": {outcomes}" if outcomes else "")


def _due() -> Callable[[], bool]:
    last = time.monotonic()

    def due() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < _EVERY:
            return False
        last = now
        return True

    return due
