"""Reconciliation and the cost watch: one run of each, as a schedule starts them every minute.

Source: 000, "Reconciliation SQL scans for partial states then resume or alert", "Cost alerts"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.activities.contracts.orders import OrderReference
from workflows.activities.contracts.reconciliation import (
    KINDS,
    OWNERS,
    RECONCILE,
    RECORD_RECONCILED,
    WATCH_COSTS,
    OwnersStep,
    ReconcileRequest,
)
from workflows.contracts.reconciliation import (
    COST_WATCH,
    RECONCILIATION,
    CostWatchRequest,
    ReconciliationReport,
    ReconciliationRequest,
)
from workflows.policies import OWNERS_CLOCK


@dataclass(slots=True)
class _Tally:
    candidates: int = 0
    resumed: int = 0
    alerted: int = 0


@workflow.defn(name=RECONCILIATION.name)
class ReconciliationWorkflow:
    """Looks at every kind of partial state once, and gives how many it resumed and told people of.

    What fails now is left for the next run: one kind, or one owner that is away, does not hold up the others.
    """

    @workflow.run
    async def run(self, request: ReconciliationRequest) -> ReconciliationReport:
        """Scan, resume or alert: kind by kind, batch by batch."""
        tally, failed = _Tally(), list[str]()
        for kind in KINDS:
            try:
                await self._reconcile(kind, request.batches, tally, failed)
            except ActivityError as error:
                failed.append(f"{kind}: {error.cause or error}")
        return ReconciliationReport(tally.candidates, tally.resumed, tally.alerted, tuple(failed))

    async def _reconcile(self, kind: str, batches: int, tally: _Tally, failed: list[str]) -> None:
        for _ in range(batches):
            batch = await RECONCILE(ReconcileRequest(kind))
            tally.candidates += batch.candidates
            tally.resumed += batch.resumed
            tally.alerted += batch.alerted
            for step in batch.steps:
                try:
                    await self._ask_owner(step)
                except ActivityError as error:
                    failed.append(f"{kind} {step.subject}: {error.cause or error}")
                else:
                    tally.resumed += 1
            if not batch.more:
                return

    async def _ask_owner(self, step: OwnersStep) -> None:
        """What is to be undone is undone by whoever owns it, on his own queue."""
        await OWNERS[step.activity].start(OrderReference(step.order_id, step.flow), clock=OWNERS_CLOCK)
        await RECORD_RECONCILED(step)


@workflow.defn(name=COST_WATCH.name)
class CostWatchWorkflow:
    """Counts workflows and events against their budgets, and gives the measures that an alert was published of."""

    @workflow.run
    async def run(self, request: CostWatchRequest) -> tuple[str, ...]:
        """Count, and alert."""
        return (await WATCH_COSTS(request)).alerted
