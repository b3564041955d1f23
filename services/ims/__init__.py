"""IMS, the inventory context: what stands on the shelf, for whom it is put aside, and who waits for it.

Source: 003, "Ownership Boundaries": inventory truth is IMS's.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.goods import StockRow
from services.ims.operations import Allocation, Ims
from services.ims.receiving import LoadResult
from services.ims.states import AllocationStatus, ReservationState
from services.ims.views import ReservationView, StockView

MIGRATIONS = MigrationRoom("ims", Path(__file__).parent / "migrations")
"""The revisions of the schema ``ims``."""

__all__ = [
    "MIGRATIONS",
    "Allocation",
    "AllocationStatus",
    "Ims",
    "LoadResult",
    "ReservationState",
    "ReservationView",
    "StockRow",
    "StockView",
]
