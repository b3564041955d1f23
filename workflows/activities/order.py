"""The activities of a paid order's own life, all of them OMS's. Source: 001, "Order processing"; 002."""

from __future__ import annotations

from temporalio import activity

from services.errors import UnknownOrderError
from services.notifier import CONFIRMATION, Notification, Notifier
from services.oms import Oms, OrderView
from workflows.activities.contracts import order as contracts
from workflows.activities.contracts.order import DeliveredOrder
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.refusals import refusals


class OrderActivities:
    """What OMS records about a paid order, and tells its customer through ``notifier``."""

    def __init__(self, oms: Oms, notifier: Notifier) -> None:
        self._oms = oms
        self._notifier = notifier

    @activity.defn(name=contracts.MARK_ORDER_CONFIRMED.name)
    async def mark_order_confirmed(self, order: OrderReference) -> None:
        """The order is paid for."""
        with refusals():
            await self._oms.mark_order_confirmed(order.order_id)

    @activity.defn(name=contracts.MARK_ORDER_DELIVERED.name)
    async def mark_order_delivered(self, order: DeliveredOrder) -> None:
        """The order has arrived."""
        with refusals():
            await self._oms.mark_order_delivered(order.order_id, order.shipment_id)

    @activity.defn(name=contracts.SEND_CONFIRMATION.name)
    async def send_confirmation(self, order: OrderReference) -> None:
        """Tell the customer that the order is confirmed, once."""
        with refusals():
            found = await self._found(order.order_id)
        await self._notifier.notify(Notification(found.order_id, CONFIRMATION, found.customer_id))

    @activity.defn(name=contracts.READ_ORDER_STATE.name)
    async def read_order_state(self, order: OrderReference) -> str:
        """The state in which OMS holds the order."""
        with refusals():
            return (await self._found(order.order_id)).state.value

    async def _found(self, order_id: str) -> OrderView:
        found = await self._oms.order(order_id)
        if found is None:
            raise UnknownOrderError(f"OMS holds no order {order_id}")
        return found
