"""The workflows that a schedule starts every minute: reconciliation and the cost watch.

Source: 000, "Reconciliation job for stuck business entities", "Cost alerts"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import ORDER_PROCESSING_QUEUE, WorkflowContract


@dataclass(frozen=True, slots=True)
class ReconciliationRequest:
    """``batches`` is how many batches of each kind one run looks at, at most; the next run goes on from there."""

    batches: int = 20


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """What one run came to. ``failed`` says what could not be done now and is tried by the next run."""

    candidates: int
    resumed: int
    alerted: int
    failed: tuple[str, ...] = ()


RECONCILIATION: Final = WorkflowContract(
    "ReconciliationWorkflow", ORDER_PROCESSING_QUEUE, "reconciliation", ReconciliationRequest
)
"""Run by the schedule ``reconciliation``; Temporal adds the time to the id of each run."""


@dataclass(frozen=True, slots=True)
class CostWatchRequest:
    """Nothing is to be said: windows and budgets are settings of the worker."""


COST_WATCH: Final = WorkflowContract(
    "CostWatchWorkflow", ORDER_PROCESSING_QUEUE, "cost-watch", CostWatchRequest
)
"""Run by the schedule ``cost-watch``."""
