"""What each workflow did in a run: how it ended, the events that came in, the events that went out.

Read from outside: which workflows there are from Temporal, what came in from the bridge's ledger, what went
out from the outboxes, whose rows say for which workflow they were written (``ce_workflowid``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import asyncpg
from temporalio.client import Client, WorkflowExecutionStatus

from infra.clients.postgres import open_connection
from infra.clients.temporal import connect
from infra.queries import load
from infra.settings import Settings
from workflows.contracts import WORKFLOWS

_SQL: Final = load(__file__, "tour.sql")

NEVER_RAN: Final = "NEVER RAN"
"""The ending of a workflow that nothing has started."""

Events = Mapping[str, int]
"""Event name → how often."""


@dataclass(frozen=True, slots=True)
class WorkflowLine:
    """All runs of one workflow type. ``endings`` counts them by how they ended, in Temporal's words."""

    workflow: str
    endings: Mapping[str, int]
    events_in: Events
    events_out: Events

    @property
    def driven(self) -> bool:
        """Whether it ran to its end at least once, and never to another one."""
        return set(self.endings) == {WorkflowExecutionStatus.COMPLETED.name}

    def as_row(self) -> dict[str, Any]:
        """For a table: each count in words."""
        return {
            "workflow": self.workflow,
            "ended": _words(self.endings),
            "events in": _words(self.events_in),
            "events out": _words(self.events_out),
        }

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in asdict(self).items()
        }


async def read_lines(settings: Settings) -> tuple[WorkflowLine, ...]:
    """One line for each workflow that there is, in the order of the contracts."""
    client = await connect(settings.temporal)
    async with open_connection(settings.postgres) as main:
        came_in = _by_workflow(await main.fetch(_SQL["events_in"]))
        went_out = _by_workflow(await main.fetch(_SQL["events_out"]))
    return tuple([await _line(client, contract.name, came_in, went_out) for contract in WORKFLOWS])


async def _line(
    client: Client, name: str, came_in: Mapping[str, Events], went_out: Mapping[str, Events]
) -> WorkflowLine:
    endings: dict[str, int] = defaultdict(int)
    ids: set[str] = set()
    async for run in client.list_workflows(f'WorkflowType = "{name}"'):
        if run.status is WorkflowExecutionStatus.CONTINUED_AS_NEW:
            continue
        endings[run.status.name if run.status else "UNKNOWN"] += 1
        ids.add(run.id)
    return WorkflowLine(
        workflow=name,
        endings=dict(endings) or {NEVER_RAN: 0},
        events_in=_sum(came_in[each] for each in ids if each in came_in),
        events_out=_sum(went_out[each] for each in ids if each in went_out),
    )


def _by_workflow(rows: Iterable[asyncpg.Record]) -> Mapping[str, Events]:
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        found[row["workflow_id"]][row["event_type"].rpartition(".")[2]] = row["times"]
    return found


def _sum(counts: Iterable[Events]) -> Events:
    total: dict[str, int] = defaultdict(int)
    for each in counts:
        for name, times in each.items():
            total[name] += times
    return dict(total)


def _words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {times}" if times > 1 else name for name, times in counts.items()) or "-"
