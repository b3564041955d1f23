"""The activities of an order's intake and fulfillment.

Source: 003, "Activities Used", "Cancellation & Compensation", "Ownership Boundaries".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.contracts.orders import OrderIntakeRequest
from workflows.policies import CARRIER, THOROUGH


@dataclass(frozen=True, slots=True)
class OrderReference:
    """Which order, and the flow that its events carry."""

    order_id: str
    flow: str = "direct"


@dataclass(frozen=True, slots=True)
class EventToEmit:
    """A fact that no operation publishes. ``event_id`` is the same on every attempt and every replay."""

    order_id: str
    event_type: str
    event_id: str


@dataclass(frozen=True, slots=True)
class AllocationResult:
    """What became of an allocation: ``ALLOCATED``, ``WAITING`` for stock, or ``FAILED`` for good."""

    status: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ShippedOrder:
    """Which order left, in which shipment."""

    order_id: str
    shipment_id: str


@dataclass(frozen=True, slots=True)
class OrderFailure:
    """Why an order failed: a code for programs and a sentence for people."""

    order_id: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class OrderCancellation:
    """An order that was cancelled, or whose cancellation was refused, and why."""

    order_id: str
    reason: str | None


VALIDATE_ORDER: Final = ActivityContract("ValidateOrder", "oms", OrderIntakeRequest, type(None))
"""Fails, not to be retried, where the order is structurally invalid."""

CREATE_ORDER: Final = ActivityContract("CreateOrder", "oms", OrderIntakeRequest, str)
"""Gives the order's id."""

EMIT_ORDER_EVENT: Final = ActivityContract("EmitOrderEvent", "oms", EventToEmit, bool)
"""True where the event was written, False where it had been."""

MARK_ORDER_RESERVED: Final = ActivityContract("MarkOrderReserved", "oms", OrderReference, type(None))
MARK_ORDER_SHIPPED: Final = ActivityContract("MarkOrderShipped", "oms", ShippedOrder, type(None))
MARK_ORDER_FAILED: Final = ActivityContract("MarkOrderFailed", "oms", OrderFailure, type(None))
MARK_ORDER_CANCELLED: Final = ActivityContract("MarkOrderCancelled", "oms", OrderCancellation, type(None))
REFUSE_CANCELLATION: Final = ActivityContract("RefuseCancellation", "oms", OrderCancellation, type(None))

ALLOCATE_INVENTORY: Final = ActivityContract(
    "AllocateInventory", "ims", OrderReference, AllocationResult, THOROUGH
)
CONSUME_INVENTORY: Final = ActivityContract("ConsumeInventory", "ims", OrderReference, type(None), THOROUGH)
RELEASE_INVENTORY: Final = ActivityContract("ReleaseInventory", "ims", OrderReference, type(None), THOROUGH)
RETURN_INVENTORY: Final = ActivityContract("ReturnInventory", "ims", OrderReference, type(None), THOROUGH)

CREATE_PICK_WAVE: Final = ActivityContract("CreatePickWave", "wms", OrderReference, str)
"""Gives the wave's id."""

CANCEL_PICK_WAVE: Final = ActivityContract("CancelPickWave", "wms", OrderReference, type(None))

CREATE_SHIPMENT: Final = ActivityContract("CreateShipment", "sms", OrderReference, str)
"""Gives the shipment's id."""

GENERATE_SHIPPING_LABEL: Final = ActivityContract(
    "GenerateShippingLabel", "sms", OrderReference, str, CARRIER
)
"""Gives the tracking number. The one activity with a clock: ``LABEL_CLOCK``."""

CONFIRM_SHIPMENT: Final = ActivityContract("ConfirmShipment", "sms", OrderReference, type(None))
CANCEL_SHIPMENT: Final = ActivityContract("CancelShipment", "sms", OrderReference, type(None))

COMPENSATIONS: Final = (RELEASE_INVENTORY, RETURN_INVENTORY, CANCEL_PICK_WAVE, CANCEL_SHIPMENT)
"""What undoes a step of a fulfillment. Each may come before, after or instead of what it undoes."""
