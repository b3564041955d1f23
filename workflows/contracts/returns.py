"""The return of goods, as others see it. Source: 000, "Durable Workflows (Checkout/Fulfillment/Returns)"; design §7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import ORDER_PROCESSING_QUEUE, SignalContract, SignalFailure, WorkflowContract


@dataclass(frozen=True, slots=True)
class ReturnRequest:
    """Which return of which order. What is to come back is the returns service's to know."""

    return_id: str
    order_id: str


RETURN: Final = WorkflowContract(
    "ReturnWorkflow", ORDER_PROCESSING_QUEUE, "return-{return_id}", ReturnRequest
)
"""Gives ``COMPLETED`` or ``REJECTED``."""


# --- Signals ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReceiptReport:
    """The parcel has come to the warehouse's door."""

    return_id: str
    order_id: str
    received_at: str | None = None


@dataclass(frozen=True, slots=True)
class FoundLine:
    """Pieces of one sku that were found, and their ``disposition``: ``restock``, ``scrap`` or ``reject``."""

    sku: str
    quantity: int
    disposition: str


@dataclass(frozen=True, slots=True)
class InspectionReport:
    """The warehouse has looked at what came back. ``lines`` may be less, or other, than was announced."""

    return_id: str
    order_id: str
    lines: tuple[FoundLine, ...]
    inspected_at: str | None = None


RETURN_RECEIVED: Final = SignalContract("ReturnReceived", ReceiptReport)
RETURN_INSPECTED: Final = SignalContract("ReturnInspected", InspectionReport)


# --- Query --------------------------------------------------------------------------------------------

GET_SNAPSHOT: Final = "getSnapshot"
"""Of a return: a :class:`ReturnSnapshot`."""


@dataclass(frozen=True, slots=True)
class ReturnSnapshot:
    """Where a return stands.

    ``state`` is one of ``RUNNING``, ``WAITING_FOR_PARCEL``, ``WAITING_FOR_INSPECTION``, ``COMPENSATING``,
    ``COMPLETED`` and ``REJECTED``. ``deadline`` (ISO-8601) is that of the wait that is under way;
    ``inspection_overdue``: nobody has inspected the parcel for 72 h, and the return waits on. ``refunded`` is an
    amount as text, once it is known. ``code`` and ``reason`` say why the return was rejected. ``refused`` names
    what a service refused for good to do; ``signal_failures`` the latest signals that could not be used.
    """

    return_id: str
    order_id: str
    state: str
    step: str
    blocking_reason: str | None
    deadline: str | None = None
    inspection_overdue: bool = False
    refunded: str | None = None
    code: str | None = None
    reason: str | None = None
    compensated: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    signal_failures: tuple[SignalFailure, ...] = ()
