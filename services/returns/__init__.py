"""Returns: what customers send back, within which policy, and what it is worth.

Source: 000, "Durable Workflows (Checkout/Fulfillment/Returns)"; design §7, ReturnWorkflow.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.returns.operations import Returns
from services.returns.states import ReturnState
from services.returns.values import Disposition, Found, Pieces, Reason, Settlement, SoldOrder, Verdict
from services.returns.views import ReturnLineView, ReturnView

MIGRATIONS = MigrationRoom("returns", Path(__file__).parent / "migrations")
"""The revisions of the schema ``returns``."""

__all__ = [
    "MIGRATIONS",
    "Disposition",
    "Found",
    "Pieces",
    "Reason",
    "ReturnLineView",
    "ReturnState",
    "ReturnView",
    "Returns",
    "Settlement",
    "SoldOrder",
    "Verdict",
]
