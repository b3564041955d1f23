"""The schedules in Temporal that start reconciliation and the cost watch every minute.

Source: 000, "Reconciliation job for stuck business entities", "Cost alerts"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from infra.clients.temporal import connect
from infra.settings import Settings
from workflows.contracts.base import WorkflowContract
from workflows.contracts.reconciliation import COST_WATCH, RECONCILIATION

EVERY: Final = timedelta(minutes=1)
SCHEDULES: Final[dict[str, WorkflowContract]] = {"reconciliation": RECONCILIATION, "cost-watch": COST_WATCH}
"""Each schedule's id and what it starts. A run that is still going on when the next is due has that one left out."""


@dataclass(frozen=True, slots=True)
class ScheduleState:
    """A schedule as Temporal has it; ``runs`` how often it has started its workflow, ``skipped`` how often not."""

    schedule: str
    workflow: str
    every_seconds: int
    paused: bool
    runs: int
    skipped: int
    last_run: str | None
    next_run: str | None


async def apply_schedules(settings: Settings) -> dict[str, str]:
    """Make every schedule what it should be; what was done about each: ``created`` or ``kept``.

    One that was paused by hand stays paused. Safe to repeat. Raises
    :class:`~infra.errors.UnavailableError` where Temporal does not answer.
    """
    client = await connect(settings.temporal)
    return {name: await _apply(client, name, contract) for name, contract in SCHEDULES.items()}


async def list_schedules(settings: Settings) -> list[ScheduleState]:
    """Where each schedule stands; those that Temporal does not have are left out."""
    client = await connect(settings.temporal)
    states = []
    for name, contract in SCHEDULES.items():
        try:
            described = await client.get_schedule_handle(name).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                continue
            raise
        recent, following = described.info.recent_actions, described.info.next_action_times
        states.append(
            ScheduleState(
                schedule=name,
                workflow=contract.name,
                every_seconds=int(described.schedule.spec.intervals[0].every.total_seconds()),
                paused=described.schedule.state.paused,
                runs=described.info.num_actions,
                skipped=described.info.num_actions_skipped_overlap,
                last_run=recent[-1].started_at.isoformat() if recent else None,
                next_run=following[0].isoformat() if following else None,
            )
        )
    return states


async def _apply(client: Client, name: str, contract: WorkflowContract) -> str:
    wanted = _schedule(contract)
    try:
        await client.create_schedule(name, wanted)
    except ScheduleAlreadyRunningError:

        def update(there: ScheduleUpdateInput) -> ScheduleUpdate:
            wanted.state = there.description.schedule.state
            return ScheduleUpdate(wanted)

        await client.get_schedule_handle(name).update(update)
        return "kept"
    return "created"


def _schedule(contract: WorkflowContract) -> Schedule:
    arguments: list[Any] = [contract.input()]
    return Schedule(
        action=ScheduleActionStartWorkflow(
            contract.name, args=arguments, id=contract.id_template, task_queue=contract.queue
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)]),
        # What was missed while the server was away need not be made up for: the next run sees all there is.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=EVERY),
    )
