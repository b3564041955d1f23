"""The routing table: one line for each event that starts or signals a workflow. ``tidegate routes`` lists
it."""

from __future__ import annotations

from typing import Final

from consumers.bridge.route import Route, on, park, record
from schemas.events import (
    AllocationFailed,
    CheckoutRequested,
    FraudDecided,
    InventoryAllocated,
    ManualReviewDecided,
    OrderCancelRequested,
    OrderReserved,
    OrderSubmitted,
    PackCompleted,
    PaymentCaptured,
    PaymentFailed,
    PickCompleted,
    ReplenishmentReceived,
    ReturnInspected,
    ReturnReceived,
    ReturnRequested,
    ShipmentDelivered,
    StockBelowReorderPoint,
)
from workflows.contracts.checkout import CHECKOUT, FRAUD_DECISION, MANUAL_REVIEW_DECISION
from workflows.contracts.order import (
    ORDER,
    ORDER_RESERVED,
    PAYMENT_CAPTURED,
    PAYMENT_FAILED,
    SHIPMENT_DELIVERED,
)
from workflows.contracts.orders import (
    ALLOCATION_FAILED,
    CANCEL_ORDER,
    INVENTORY_ALLOCATED,
    ORDER_FULFILLMENT,
    ORDER_INTAKE,
    PACK_COMPLETED,
    PICK_COMPLETED,
)
from workflows.contracts.replenishment import REPLENISHMENT, REPLENISHMENT_RECEIVED
from workflows.contracts.returns import RETURN, RETURN_INSPECTED, RETURN_RECEIVED

RESTOCKING: Final = REPLENISHMENT.id_template
FULFILLMENT: Final = ORDER_FULFILLMENT.id_template
CHECKING_OUT: Final = CHECKOUT.id_template
PAID_ORDER: Final = ORDER.id_template
RETURNING: Final = RETURN.id_template

ROUTES: Final[tuple[Route, ...]] = (
    on(OrderSubmitted).start(ORDER_INTAKE),
    on(PickCompleted).signal(PICK_COMPLETED).to(FULFILLMENT, early=park(hours=24), late=record),
    on(PackCompleted).signal(PACK_COMPLETED).to(FULFILLMENT, early=park(hours=24), late=record),
    on(OrderCancelRequested).signal(CANCEL_ORDER).to(FULFILLMENT, early=park(hours=24), late=record),
    on(InventoryAllocated)
    .when(waited="true")
    .signal(INVENTORY_ALLOCATED)
    .to(FULFILLMENT, early=park(hours=24), late=record),
    on(AllocationFailed)
    .when(waited="true")
    .signal(ALLOCATION_FAILED)
    .to(FULFILLMENT, early=park(hours=24), late=record),
    on(StockBelowReorderPoint).start(REPLENISHMENT),
    on(ReplenishmentReceived)
    .signal(REPLENISHMENT_RECEIVED)
    .to(RESTOCKING, early=park(hours=24), late=record),
    on(CheckoutRequested).start(CHECKOUT),
    on(FraudDecided).signal(FRAUD_DECISION).to(CHECKING_OUT, early=park(hours=1), late=record),
    on(ManualReviewDecided).signal(MANUAL_REVIEW_DECISION).to(CHECKING_OUT, early=park(hours=1), late=record),
    on(OrderReserved)
    .when(flow="paid")
    .signal(ORDER_RESERVED)
    .to(PAID_ORDER, early=park(hours=24), late=record),
    on(PaymentCaptured)
    .when(flow="paid")
    .signal(PAYMENT_CAPTURED)
    .to(FULFILLMENT, early=park(hours=24), late=record),
    # A payment that is declined before there is an order says so without a flow: its checkout knows already.
    on(PaymentFailed)
    .when(flow="paid")
    .signal(PAYMENT_FAILED)
    .to(FULFILLMENT, early=park(hours=24), late=record),
    on(ShipmentDelivered)
    .when(flow="paid")
    .signal(SHIPMENT_DELIVERED)
    .to(PAID_ORDER, early=park(hours=24), late=record),
    on(ReturnRequested).start(RETURN),
    on(ReturnReceived).signal(RETURN_RECEIVED).to(RETURNING, early=park(hours=24), late=record),
    on(ReturnInspected).signal(RETURN_INSPECTED).to(RETURNING, early=park(hours=24), late=record),
)
