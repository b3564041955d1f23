"""Every change of a workflow that runs made while old runs were open: one marker each, with the day to remove it.

    if patched(PAYMENT_V2):
        ...  # what new runs do
    else:
        ...  # what runs do that began before

A marker is written into the history of each run that takes the new branch, and is never renamed. Once no run
that began before is open, replace ``patched(X)`` by ``retired(X)`` for one release and then remove the entry.
``workflow.patched`` is called here and nowhere else, but for the plugin of :mod:`workflows.dedupe`, whose markers are
no changes; a test holds that, and that nothing is used unregistered.

    python -m workflows.patches                      what there is; a reminder for each that is overdue
    python -m workflows.patches --fail               the same, with status 1 where one is overdue

Source: 002, "Migration Notes"; design §7.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from temporalio import workflow


@dataclass(frozen=True, slots=True)
class Patch:
    """A change of ``workflow`` that came with the release ``since``; the old branch may go after ``remove_after``."""

    name: str
    workflow: str
    since: str
    remove_after: date
    why: str


PAYMENT_V2: Final = Patch(
    "payment-v2",
    "PaymentWorkflow",
    since="0.2.0",
    remove_after=date(2027, 12, 1),
    why="CheckFraudV2 and ValidateCard in parallel, 3 attempts instead of 5 (002, From v1 to v2)",
)

INTAKE_STATUS: Final = Patch(
    "intake-status-attributes",
    "OrderIntakeWorkflow",
    since="0.2.0",
    remove_after=date(2027, 12, 1),
    why="runs of 0.1.0 set no search attributes",
)

FULFILLMENT_STATUS: Final = Patch(
    "fulfillment-status-attributes",
    "OrderFulfillmentWorkflow",
    since="0.2.0",
    remove_after=date(2027, 12, 1),
    why="runs of 0.1.0 set no search attributes",
)

PATCHES: Final = (PAYMENT_V2, INTAKE_STATUS, FULFILLMENT_STATUS)
"""Every marker there is. One that was removed is never used again under the same name."""


def patched(patch: Patch) -> bool:
    """Whether this run takes the new branch: True in a run that comes here for the first time under today's code."""
    return workflow.patched(patch.name)


def retired(patch: Patch) -> None:
    """Keep reading the histories that have the marker, once the old branch is gone."""
    workflow.deprecate_patch(patch.name)


def overdue(today: date, patches: Sequence[Patch] = PATCHES) -> list[str]:
    """One sentence for each patch whose old branch should be gone by ``today``."""
    return [
        f"{patch.name} ({patch.workflow}, since {patch.since}) was to be removed after {patch.remove_after}: "
        f"see docs/workflows.md, or set a later date in workflows/patches.py"
        for patch in patches
        if today > patch.remove_after
    ]


def main(words: Sequence[str] | None = None, today: date | None = None) -> int:
    """List the patches and remind of those that are overdue; the exit status."""
    options = argparse.ArgumentParser(prog="python -m workflows.patches")
    options.add_argument("--fail", action="store_true", help="status 1 where one is overdue")
    chosen = options.parse_args(words)
    for patch in PATCHES:
        sys.stdout.write(f"{patch.name}: {patch.workflow}, since {patch.since}, until {patch.remove_after}\n")
    now = datetime.now(UTC)  # determinism: the clock of a command, in no workflow
    reminders = overdue(today or now.date())
    for reminder in reminders:
        sys.stderr.write(f"reminder: {reminder}\n")
    return 1 if reminders and chosen.fail else 0


if __name__ == "__main__":
    raise SystemExit(main())
