"""The activities of a paid order's own life. Those of its fulfillment and its payment stand beside.

Source: 001, "Order processing"; 002, "Standard Configuration", "Fire-and-Forget".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import OrderReference
from workflows.policies import STANDARD


@dataclass(frozen=True, slots=True)
class DeliveredOrder:
    """Which order has arrived, and in which shipment where the carrier said so."""

    order_id: str
    shipment_id: str | None = None


MARK_ORDER_CONFIRMED: Final = ActivityContract(
    "MarkOrderConfirmed", "oms", OrderReference, type(None), retry=STANDARD
)
MARK_ORDER_DELIVERED: Final = ActivityContract(
    "MarkOrderDelivered", "oms", DeliveredOrder, type(None), retry=STANDARD
)

SEND_CONFIRMATION: Final = ActivityContract(
    "SendConfirmation", "oms", OrderReference, type(None), retry=STANDARD
)
"""Fire-and-forget (002): started, never awaited; what becomes of it does not touch the order."""

READ_ORDER_STATE: Final = ActivityContract("ReadOrderState", "oms", OrderReference, str)
"""Gives the state in which OMS holds the order: asked where a fulfillment broke off without an answer."""
