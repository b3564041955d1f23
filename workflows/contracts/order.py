"""A paid order's life, created → confirmed → shipped → delivered, as others see it.

Source: 001, "Order processing", "Task Queues"; 002, "Workflow Inventory", "Child Workflows"; design §7.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from workflows.contracts.base import ORDER_PROCESSING_QUEUE, SignalContract, SignalFailure, WorkflowContract


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """Which paid order to take to its customer. The order exists and its payment is authorised."""

    order_id: str


class OrderStatus(StrEnum):
    """How far an order has come. Source: 001, "Order processing"."""

    CREATED = "CREATED"
    CONFIRMED = "CONFIRMED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class PaymentStatus(StrEnum):
    """What has become of the order's money."""

    AUTHORIZED = "AUTHORIZED"
    RUNNING = "RUNNING"
    CAPTURED = "CAPTURED"
    FAILED = "FAILED"
    VOIDED = "VOIDED"
    REFUNDED = "REFUNDED"


ORDER: Final = WorkflowContract("OrderWorkflow", ORDER_PROCESSING_QUEUE, "order-{order_id}", OrderRequest)
"""Started by a checkout that was approved. ``ORDER_TASK_QUEUE`` (001) names the same workers."""


# --- Signals to order-{order_id} ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReservedNotice:
    """The order's stock is reserved: its payment may be taken."""

    order_id: str
    reserved_at: str | None = None


@dataclass(frozen=True, slots=True)
class DeliveryNotice:
    """The carrier has handed the shipment over."""

    order_id: str
    shipment_id: str | None = None
    delivered_at: str | None = None


ORDER_RESERVED: Final = SignalContract("OrderReserved", ReservedNotice)
SHIPMENT_DELIVERED: Final = SignalContract("ShipmentDelivered", DeliveryNotice)


# --- Signals to order-fulfillment-{order_id} of a paid order ------------------------------------------


@dataclass(frozen=True, slots=True)
class CaptureNotice:
    """The order's money has been taken: its goods may be picked."""

    order_id: str
    payment_id: str | None = None
    captured_at: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentFailureNotice:
    """The order's payment came to nothing for good. ``code`` is for programs, ``reason`` for people."""

    order_id: str
    code: str
    reason: str | None = None
    failed_at: str | None = None


PAYMENT_CAPTURED: Final = SignalContract("PaymentCaptured", CaptureNotice)
PAYMENT_FAILED: Final = SignalContract("PaymentFailed", PaymentFailureNotice)


# --- Queries ------------------------------------------------------------------------------------------

GET_STATUS: Final = "getStatus"
"""Of an order: an :class:`OrderStatus`, as text."""

GET_SNAPSHOT: Final = "getSnapshot"
"""Of an order: an :class:`OrderSnapshot`."""


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """Where a paid order stands.

    ``state`` is what ``getStatus`` answers. ``payment`` is ``AUTHORIZED``, ``RUNNING`` while its child works,
    ``CAPTURED``, ``FAILED``, ``VOIDED`` or ``REFUNDED``. ``blocking_reason`` is one sentence that says what
    the order waits for. ``delivery_overdue``: the carrier has said nothing for 30 days; the order waits on.
    ``refused`` names what a service refused for good to do; ``signal_failures`` the latest signals that could
    not be used.
    """

    order_id: str
    state: str
    step: str
    blocking_reason: str | None
    payment: str
    delivery_overdue: bool = False
    refused: tuple[str, ...] = ()
    signal_failures: tuple[SignalFailure, ...] = ()
