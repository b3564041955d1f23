"""The activities of a replenishment, all IMS's. Source: design §7, ReplenishmentWorkflow; 003."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.policies import THOROUGH


@dataclass(frozen=True, slots=True)
class ReplenishmentReference:
    """Which replenishment: the shortage number ``cycle`` of ``sku``."""

    sku: str
    cycle: int


@dataclass(frozen=True, slots=True)
class ReplenishmentLot:
    """How many pieces are ordered; none where the shortage has passed or stock is on its way already."""

    quantity: int


@dataclass(frozen=True, slots=True)
class SupplierReminder:
    """The supplier is reminded for the ``number``-th time of one replenishment."""

    sku: str
    cycle: int
    number: int


@dataclass(frozen=True, slots=True)
class StockReceipt:
    """``quantity`` pieces have come in for one replenishment."""

    sku: str
    cycle: int
    quantity: int


ORDER_REPLENISHMENT: Final = ActivityContract(
    "OrderReplenishment", "ims", ReplenishmentReference, ReplenishmentLot, THOROUGH
)
REMIND_SUPPLIER: Final = ActivityContract("RemindSupplier", "ims", SupplierReminder, type(None))
RECEIVE_REPLENISHMENT: Final = ActivityContract(
    "ReceiveReplenishment", "ims", StockReceipt, type(None), THOROUGH
)
"""Books the pieces in, once; serves the orders that wait; opens the next cycle where stock is still short."""
