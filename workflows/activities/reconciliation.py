"""Reconciliation and cost watch at work: look at a batch, ask Temporal, resume what can be resumed, tell of the rest.

Everything here bears being done twice, and being done while the loop does the same: starts are refused where the
workflow is there, signals carry the id of their event, owners' operations are idempotent.

Source: 000, "Reconciliation SQL scans for partial states then resume or alert", "Cost alerts".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from temporalio import activity

from services.publishing import utc_now
from services.reconciliation import PATIENCE, Candidate, CostWatch, Kind, Reconciliation, StoredEvent
from workflows.activities.contracts import reconciliation as contracts
from workflows.activities.contracts.reconciliation import Batch, CostReport, OwnersStep, ReconcileRequest
from workflows.contracts.base import WorkflowContract
from workflows.contracts.reconciliation import CostWatchRequest
from workflows.reconciling import (
    Alert,
    AskOwner,
    Decision,
    Deliver,
    Existence,
    Found,
    Leave,
    RetryParked,
    Start,
    TellAgain,
    asks,
    decide,
)

BATCH = 100
_LOOKS_AT_ONCE = 8


class Workflows(Protocol):
    """Temporal, and the bridge's own ways into it."""

    async def look(self, workflow_id: str) -> Found:
        """What there is under ``workflow_id``. Raises where Temporal cannot say."""
        ...

    async def start(self, contract: WorkflowContract, workflow_id: str, argument: Mapping[str, Any]) -> None:
        """Start it, unless it is there."""
        ...

    async def deliver(self, event: StoredEvent, workflow_id: str) -> None:
        """Signal ``workflow_id`` with ``event`` as the bridge would, under the event's id."""
        ...

    async def tell_again(self, workflow_id: str) -> int:
        """Deliver again what the ledger says the workflow was told; how many events."""
        ...

    async def retry_parked(self, workflow_id: str) -> int:
        """Try the events that are parked for ``workflow_id`` now; how many are parked no longer."""
        ...

    async def count_started(self, since: datetime) -> int:
        """How many workflows were started since ``since``."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """A candidate and what is to be done about it."""

    candidate: Candidate
    decision: Decision


class Reconciler:
    """Takes candidates to their end. ``grace`` and ``patience`` are the rules' own unless a test says otherwise."""

    def __init__(
        self,
        memory: Reconciliation,
        workflows: Workflows,
        *,
        grace: timedelta | None = None,
        patience: timedelta = PATIENCE,
    ) -> None:
        self._memory = memory
        self._workflows = workflows
        self._grace = grace
        self._patience = patience

    async def judge(self, kind: Kind, after: str, limit: int = BATCH) -> tuple[Sequence[Judged], str]:
        """The candidates of ``kind`` after ``after``, each with its decision, and where the next batch begins.

        Changes nothing. The second value is empty where there is no next batch.
        """
        candidates = await self._memory.find(kind, after=after, limit=limit, grace=self._grace)
        room = asyncio.Semaphore(_LOOKS_AT_ONCE)

        async def judged(candidate: Candidate) -> Judged:
            async with room:
                found: dict[str, Found] = {}
                for workflow_id in asks(candidate):
                    found[workflow_id] = await self._workflows.look(workflow_id)
                    if found[workflow_id].existence is Existence.RUNNING and _one_is_enough(kind):
                        return Judged(candidate, Leave())
            decision = decide(candidate, found)
            if isinstance(decision, Leave) or not await self._memory.still_so(candidate, grace=self._grace):
                return Judged(candidate, Leave())
            return Judged(candidate, await self._after_a_resumption(candidate, decision))

        results = await asyncio.gather(*(judged(candidate) for candidate in candidates))
        return results, candidates[-1].subject if len(candidates) == limit else ""

    async def batch(self, kind: Kind, limit: int = BATCH) -> Batch:
        """Look at the next batch of ``kind``, do what is to be done, and remember how far that was."""
        judged, next_after = await self.judge(kind, await self._memory.position(kind), limit)
        resumed = alerted = 0
        steps: list[OwnersStep] = []
        for one in judged:
            candidate, decision = one.candidate, one.decision
            match decision:
                case Leave():
                    continue
                case Alert():
                    alerted += await self._memory.alert(candidate, decision.detail)
                    continue
                case AskOwner():
                    steps.append(_owners_step(candidate, decision))
                    continue
                case Start():
                    await self._workflows.start(decision.contract, decision.workflow_id, decision.argument)
                    await self._workflows.tell_again(decision.workflow_id)
                case Deliver():
                    since = candidate.since
                    event = await self._memory.stored_event(decision.event_type, decision.key, since)
                    if event is None:
                        continue  # not published yet, or no longer kept: the relay's or a person's business
                    await self._workflows.deliver(event, decision.workflow_id)
                case TellAgain():
                    await self._workflows.tell_again(decision.workflow_id)
                case RetryParked():
                    if not await self._workflows.retry_parked(decision.workflow_id):
                        continue  # another process has them in hand
            await self._memory.record(kind, candidate.subject, candidate.since, _name(decision))
            resumed += 1
        await self._memory.move(kind, next_after)
        return Batch(len(judged), resumed, alerted, tuple(steps), more=bool(next_after))

    async def _after_a_resumption(self, candidate: Candidate, decision: Decision) -> Decision:
        """What was resumed has time to get on; what has not by then is a person's, and who was told is told once."""
        if isinstance(decision, Alert):
            return Leave() if await self._memory.alerted(candidate) else decision
        resumed_at = await self._memory.resumed_at(candidate)
        if resumed_at is None:
            return decision
        if utc_now() - resumed_at < self._patience or await self._memory.alerted(candidate):
            return Leave()
        return Alert(f"resumed ({_name(decision)}) at {resumed_at.isoformat()}, and it is still so")


class ReconciliationActivities:
    """The activities of reconciliation."""

    def __init__(self, reconciler: Reconciler, memory: Reconciliation) -> None:
        self._reconciler = reconciler
        self._memory = memory

    @activity.defn(name=contracts.RECONCILE.name)
    async def reconcile(self, request: ReconcileRequest) -> Batch:
        """The next batch of one kind."""
        return await self._reconciler.batch(Kind(request.kind))

    @activity.defn(name=contracts.RECORD_RECONCILED.name)
    async def record_reconciled(self, step: OwnersStep) -> None:
        """An owner has undone a partial state."""
        since = datetime.fromisoformat(step.since)
        await self._memory.record(Kind(step.kind), step.subject, since, step.activity)


class CostActivities:
    """The activity of the cost watch."""

    def __init__(self, watch: CostWatch, workflows: Workflows) -> None:
        self._watch = watch
        self._workflows = workflows

    @activity.defn(name=contracts.WATCH_COSTS.name)
    async def watch_costs(self, request: CostWatchRequest) -> CostReport:  # noqa: ARG002 - windows are settings
        """Count workflows and events of the current window, and alert where a budget is passed."""
        now = utc_now()
        start = self._watch.budgets.window_start(now)
        counted = {
            "workflows": await self._workflows.count_started(start),
            "events": await self._watch.events_since(start, now),
        }
        judged = [await self._watch.judge(measure, value, start, now) for measure, value in counted.items()]
        return CostReport(tuple(one.measure for one in judged if one.alerted))


def _one_is_enough(kind: Kind) -> bool:
    """Whether one running workflow says that a candidate of ``kind`` is in good hands."""
    return kind in (
        Kind.ORDER_WITHOUT_WORKFLOW,
        Kind.RESERVATION_WITHOUT_ORDER,
        Kind.AUTHORIZATION_OPEN,
        Kind.REPLENISHMENT_WITHOUT_WORKFLOW,
    )


def _owners_step(candidate: Candidate, decision: AskOwner) -> OwnersStep:
    return OwnersStep(
        kind=candidate.kind.value,
        subject=candidate.subject,
        since=candidate.since.isoformat(),
        activity=decision.activity,
        order_id=candidate.subject,
        flow=str(candidate.facts.get("flow") or "direct"),
    )


def _name(decision: Decision) -> str:
    return decision.activity if isinstance(decision, AskOwner) else type(decision).__name__
