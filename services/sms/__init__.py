"""SMS, the shipping context: which shipments there are, their labels, and whether they have left.

Source: 003, "Ownership Boundaries": shipment lifecycle is SMS's.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.errors import LabelRefusedError
from services.label_carrier import Label, LabelCarrier
from services.sms.operations import Sms
from services.sms.return_labels import ReturnLabels
from services.sms.states import ShipmentState
from services.sms.views import ShipmentView

MIGRATIONS = MigrationRoom("sms", Path(__file__).parent / "migrations")
"""The revisions of the schema ``sms``."""

__all__ = [
    "MIGRATIONS",
    "Label",
    "LabelCarrier",
    "LabelRefusedError",
    "ReturnLabels",
    "ShipmentState",
    "ShipmentView",
    "Sms",
]
