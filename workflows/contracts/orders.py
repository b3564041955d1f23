"""The intake and the fulfillment of an order, as others see them. Source: 003; design §7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import ORDER_PROCESSING_QUEUE, SignalContract, SignalFailure, WorkflowContract

# --- Workflows ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderLineInput:
    """One line of a submission; ``unit_price`` is an amount, ``discount`` a fraction, both text ("0.15")."""

    sku: str
    quantity: int
    unit_price: str
    discount: str = "0"


@dataclass(frozen=True, slots=True)
class OrderIntakeRequest:
    """What an order submission holds: the fields of ``OrderSubmitted``. ``ordered_at`` is ISO-8601 in UTC.

    ``flow`` is "direct", or "paid" where a checkout creates the order.
    """

    order_id: str
    request_id: str
    customer_id: str
    currency: str
    ordered_at: str
    lines: tuple[OrderLineInput, ...]
    flow: str = "direct"


@dataclass(frozen=True, slots=True)
class FulfillmentRequest:
    """Which order to fulfil. ``flow`` ("direct" or "paid") goes on every event of the order."""

    order_id: str
    flow: str = "direct"


ORDER_INTAKE: Final = WorkflowContract(
    "OrderIntakeWorkflow", ORDER_PROCESSING_QUEUE, "order-intake-{request_id}", OrderIntakeRequest
)
ORDER_FULFILLMENT: Final = WorkflowContract(
    "OrderFulfillmentWorkflow", ORDER_PROCESSING_QUEUE, "order-fulfillment-{order_id}", FulfillmentRequest
)


# --- Signals ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PickReport:
    """All pick tasks of the order are done."""

    order_id: str
    picked_at: str | None = None
    wave_id: str | None = None


@dataclass(frozen=True, slots=True)
class PackReport:
    """The order is packed."""

    order_id: str
    packed_at: str | None = None
    wave_id: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """Somebody wants the order aborted."""

    order_id: str
    requested_by: str
    reason: str | None = None
    requested_at: str | None = None


@dataclass(frozen=True, slots=True)
class AllocationNotice:
    """The stock that the order waited for is reserved for it now."""

    order_id: str
    reservation_id: str | None = None
    allocated_at: str | None = None


@dataclass(frozen=True, slots=True)
class AllocationRefusal:
    """The stock that the order waited for will never come: an item is no longer kept."""

    order_id: str
    code: str
    reason: str
    failed_at: str | None = None


PICK_COMPLETED: Final = SignalContract("PickCompleted", PickReport)
PACK_COMPLETED: Final = SignalContract("PackCompleted", PackReport)
CANCEL_ORDER: Final = SignalContract("CancelOrder", CancelRequest)
INVENTORY_ALLOCATED: Final = SignalContract("InventoryAllocated", AllocationNotice)
ALLOCATION_FAILED: Final = SignalContract("AllocationFailed", AllocationRefusal)


# --- Queries ------------------------------------------------------------------------------------------

GET_STATUS: Final = "getStatus"
"""Of an intake: ``RECEIVED``, ``VALIDATED``, ``CREATED`` or ``FAILED``, as text."""

GET_FULFILLMENT_STATUS: Final = "getFulfillmentStatus"
"""Of a fulfillment: a :class:`FulfillmentStatus`."""

GET_CURRENT_STEP: Final = "getCurrentStep"
"""Of a fulfillment: the step it is at, named as in seed 003 ("Wait for Pick Completion"), as text."""

GET_BLOCKING_REASON: Final = "getBlockingReason"
"""Of a fulfillment: one sentence that says what it waits for, or null where it waits for nothing."""


@dataclass(frozen=True, slots=True)
class FulfillmentStatus:
    """Where a fulfillment stands.

    ``state`` is one of ``RUNNING``, ``WAITING_FOR_STOCK``, ``WAITING_FOR_PAYMENT``, ``WAITING_FOR_PICK``,
    ``WAITING_FOR_PACK``, ``COMPENSATING``, ``SHIPPED``, ``CANCELLED`` and ``FAILED``. ``cancellation`` is
    ``NONE``, ``REQUESTED`` or ``REFUSED``. ``compensated`` names the compensations that have run, in order;
    ``refused`` those that the owning service refused for good; ``signal_failures`` the latest signals that
    could not be used.
    """

    order_id: str
    state: str
    step: str
    blocking_reason: str | None
    cancellation: str
    compensated: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    signal_failures: tuple[SignalFailure, ...] = ()
