"""A replenishment, as others see it: new stock of one sku, for one shortage. Source: 003; design §7."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.contracts.base import ORDER_PROCESSING_QUEUE, SignalContract, SignalFailure, WorkflowContract


@dataclass(frozen=True, slots=True)
class ReplenishmentRequest:
    """Which shortage to end: the fields of ``StockBelowReorderPoint``; sku and cycle name it."""

    sku: str
    cycle: int
    available: int | None = None
    reorder_point: int | None = None
    noticed_at: str | None = None


REPLENISHMENT: Final = WorkflowContract(
    "ReplenishmentWorkflow", ORDER_PROCESSING_QUEUE, "replenishment-{sku}-{cycle}", ReplenishmentRequest
)
"""Source: 003, "Workflow Inventory": inventory restock automation."""


@dataclass(frozen=True, slots=True)
class DeliveryOfStock:
    """The supplier has delivered ``quantity`` pieces for one replenishment: perhaps fewer than were ordered."""

    sku: str
    cycle: int
    quantity: int
    received_at: str | None = None


REPLENISHMENT_RECEIVED: Final = SignalContract("ReplenishmentReceived", DeliveryOfStock)

GET_SNAPSHOT: Final = "getSnapshot"
"""Of a replenishment: a :class:`ReplenishmentSnapshot`."""


@dataclass(frozen=True, slots=True)
class ReplenishmentSnapshot:
    """Where a replenishment stands.

    ``state`` is ``ORDERING``, ``WAITING_FOR_DELIVERY``, ``RECEIVING``, ``RECEIVED`` or ``NOT_NEEDED``;
    ``ordered`` are the pieces that were ordered, ``reminders`` how often the supplier was reminded.
    """

    sku: str
    cycle: int
    state: str
    blocking_reason: str | None
    ordered: int | None = None
    reminders: int = 0
    signal_failures: tuple[SignalFailure, ...] = ()
