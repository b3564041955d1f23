"""The lives of reconciliation and cost watch whose histories are kept."""

from __future__ import annotations

from typing import Any

from temporalio.client import WorkflowHandle

from tests.workflow_support import World, illegal
from workflows.activities.contracts.orders import RELEASE_INVENTORY
from workflows.activities.contracts.reconciliation import (
    KINDS,
    RECONCILE,
    WATCH_COSTS,
    Batch,
    CostReport,
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

Handle = WorkflowHandle[Any, Any]


def step(kind: str, activity: str, order_id: str) -> OwnersStep:
    """Something that its owner has to undo."""
    return OwnersStep(kind, order_id, "2026-11-21T10:00:00+00:00", activity, order_id, "paid")


def finding(world: World, batches: dict[str, list[Batch | Exception]]) -> None:
    """Have the scans find ``batches``, by kind, one after the other, and nothing else."""

    def answer(request: ReconcileRequest) -> Batch:
        waiting = batches.get(request.kind)
        found = waiting.pop(0) if waiting else Batch(0)
        if isinstance(found, Exception):
            raise found
        return found

    world.contexts.answer("", RECONCILE, answer)


async def reconcile(world: World, name: str, *, batches: int = 20) -> Handle:
    """One run."""
    return await world.client.start_workflow(
        RECONCILIATION.name,
        ReconciliationRequest(batches),
        id=f"reconciliation-{name}",
        task_queue=RECONCILIATION.queue,
        result_type=ReconciliationReport,
    )


async def found_nothing(world: World, name: str) -> Handle:
    """Every kind once."""
    finding(world, {})
    return await reconcile(world, name)


async def resumed_and_undone(world: World, name: str) -> Handle:
    """Two batches of one kind, an alert, and something for each of the owners."""
    finding(
        world,
        {
            "order_without_workflow": [Batch(100, 2, more=True), Batch(3, 1, 1)],
            "reservation_without_order": [
                Batch(1, steps=(step("reservation_without_order", "ReleaseInventory", name),))
            ],
            "shipment_without_label": [
                Batch(1, steps=(step("shipment_without_label", "CancelShipment", name),))
            ],
            "authorization_open": [Batch(1, steps=(step("authorization_open", "VoidAuthorization", name),))],
        },
    )
    return await reconcile(world, name)


async def left_something_for_the_next_run(world: World, name: str) -> Handle:
    """A kind whose scan fails for good, and an owner who says no: the others are reconciled all the same."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(name, RELEASE_INVENTORY, refuse)
    finding(
        world,
        {
            "parked_past_half": [illegal()],
            "reservation_without_order": [
                Batch(1, steps=(step("reservation_without_order", "ReleaseInventory", name),))
            ],
            "authorization_open": [Batch(1, steps=(step("authorization_open", "VoidAuthorization", name),))],
        },
    )
    return await reconcile(world, name)


async def bounded(world: World, name: str) -> Handle:
    """A kind that has no end takes no more than its number of batches."""
    finding(world, {KINDS[0]: [Batch(100, more=True) for _ in range(9)]})
    return await reconcile(world, name, batches=2)


async def watched(world: World, name: str) -> Handle:
    """A budget was passed."""
    world.contexts.answer("", WATCH_COSTS, lambda _: CostReport(("workflows",)))
    return await world.client.start_workflow(
        COST_WATCH.name,
        CostWatchRequest(),
        id=f"cost-watch-{name}",
        task_queue=COST_WATCH.queue,
        result_type=tuple[str, ...],
    )


RECONCILIATIONS = (found_nothing, resumed_and_undone, left_something_for_the_next_run, bounded)
COST_WATCHES = (watched,)
"""What is recorded."""
