"""The activities that OMS owns. Source: 003, "Activities Used", "Ownership Boundaries"."""

from __future__ import annotations

from uuid import UUID

from temporalio import activity
from temporalio.exceptions import ApplicationError

from services.oms import Oms
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.orders import (
    EventToEmit,
    OrderCancellation,
    OrderFailure,
    OrderReference,
    ShippedOrder,
)
from workflows.activities.refusals import refusals
from workflows.activities.submissions import submission_of
from workflows.contracts.orders import OrderIntakeRequest


class OmsActivities:
    """The order's lifecycle, each activity one idempotent operation of OMS."""

    def __init__(self, oms: Oms) -> None:
        self._oms = oms

    @activity.defn(name=contracts.VALIDATE_ORDER.name)
    async def validate_order(self, request: OrderIntakeRequest) -> None:
        """Have OMS check the submission; a failure that is not retried names each reason."""
        reasons = await self._oms.validate_order(submission_of(request))
        if reasons:
            raise ApplicationError("; ".join(reasons), type="InvalidOrderError", non_retryable=True)

    @activity.defn(name=contracts.CREATE_ORDER.name)
    async def create_order(self, request: OrderIntakeRequest) -> str:
        """Make the order, if there is none, and give its id."""
        with refusals():
            return await self._oms.create_order(submission_of(request), request.flow)

    @activity.defn(name=contracts.EMIT_ORDER_EVENT.name)
    async def emit_order_event(self, event: EventToEmit) -> bool:
        """Publish a fact about the order, once for each event id."""
        with refusals():
            return await self._oms.emit_order_event(event.order_id, event.event_type, UUID(event.event_id))

    @activity.defn(name=contracts.MARK_ORDER_RESERVED.name)
    async def mark_order_reserved(self, order: OrderReference) -> None:
        """The order's stock is reserved."""
        with refusals():
            await self._oms.mark_order_reserved(order.order_id)

    @activity.defn(name=contracts.MARK_ORDER_SHIPPED.name)
    async def mark_order_shipped(self, order: ShippedOrder) -> None:
        """The order has left."""
        with refusals():
            await self._oms.mark_order_shipped(order.order_id, order.shipment_id)

    @activity.defn(name=contracts.MARK_ORDER_FAILED.name)
    async def mark_order_failed(self, failure: OrderFailure) -> None:
        """The order cannot be fulfilled."""
        with refusals():
            await self._oms.mark_order_failed(failure.order_id, failure.code, failure.reason)

    @activity.defn(name=contracts.MARK_ORDER_CANCELLED.name)
    async def mark_order_cancelled(self, cancellation: OrderCancellation) -> None:
        """The order is cancelled, and what was done for it undone."""
        with refusals():
            await self._oms.mark_order_cancelled(cancellation.order_id, cancellation.reason)

    @activity.defn(name=contracts.REFUSE_CANCELLATION.name)
    async def refuse_cancellation(self, cancellation: OrderCancellation) -> None:
        """The order is past cancelling; its request to cancel has that answer."""
        with refusals():
            await self._oms.refuse_cancellation(cancellation.order_id, cancellation.reason or "too late")
