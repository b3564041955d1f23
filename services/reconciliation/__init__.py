"""Reconciliation: business entities that are stuck between two states, and what running them costs.

It reads the tables of every context and writes to none but its own: what it finds is mended by the workflows and
activities of the owners. Source: 000, "Reconciliation job for stuck business entities", "Cost alerts".
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.reconciliation.costs import Budgets, CostWatch, Spent
from services.reconciliation.kinds import GRACE, PATIENCE, Kind
from services.reconciliation.operations import Figures, Reconciliation
from services.reconciliation.scanning import Candidate, StoredEvent

MIGRATIONS = MigrationRoom("reconciliation", Path(__file__).parent / "migrations")
"""The revisions of the schema ``reconciliation``."""

__all__ = [
    "GRACE",
    "MIGRATIONS",
    "PATIENCE",
    "Budgets",
    "Candidate",
    "CostWatch",
    "Figures",
    "Kind",
    "Reconciliation",
    "Spent",
    "StoredEvent",
]
