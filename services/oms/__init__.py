"""OMS, the order management context: what orders exist, and in which state each is.

Source: 003, "Ownership Boundaries": order lifecycle is OMS's.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.oms.notifications import RecordedNotifications
from services.oms.operations import Oms
from services.oms.states import CancellationStatus, OrderState
from services.oms.views import Cancellation, OrderView
from services.orders import OrderLine, OrderSubmission

MIGRATIONS = MigrationRoom("oms", Path(__file__).parent / "migrations")
"""The revisions of the schema ``oms``."""

__all__ = [
    "MIGRATIONS",
    "Cancellation",
    "CancellationStatus",
    "Oms",
    "OrderLine",
    "OrderState",
    "OrderSubmission",
    "OrderView",
    "RecordedNotifications",
]
