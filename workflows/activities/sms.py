"""The activities that SMS owns. Source: 003, "Activities Used", "Ownership Boundaries"."""

from __future__ import annotations

from temporalio import activity

from services.sms import Sms
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.refusals import refusals


class SmsActivities:
    """The order's shipment, each activity one idempotent operation of SMS."""

    def __init__(self, sms: Sms) -> None:
        self._sms = sms

    @activity.defn(name=contracts.CREATE_SHIPMENT.name)
    async def create_shipment(self, order: OrderReference) -> str:
        """Open the order's shipment, if there is none, and give its id."""
        with refusals():
            return await self._sms.create_shipment(order.order_id, flow=order.flow)

    @activity.defn(name=contracts.GENERATE_SHIPPING_LABEL.name)
    async def generate_shipping_label(self, order: OrderReference) -> str:
        """Ask the carrier for a label, and give its tracking number; one that refuses is asked again."""
        with refusals():
            return await self._sms.generate_label(order.order_id, activity.info().attempt)

    @activity.defn(name=contracts.CONFIRM_SHIPMENT.name)
    async def confirm_shipment(self, order: OrderReference) -> None:
        """Hand the shipment over. From here on the order cannot be cancelled."""
        with refusals():
            await self._sms.confirm_shipment(order.order_id)

    @activity.defn(name=contracts.CANCEL_SHIPMENT.name)
    async def cancel_shipment(self, order: OrderReference) -> None:
        """Call the shipment off. Bears that there is none, and then keeps a late one from being made."""
        with refusals():
            await self._sms.cancel_shipment(order.order_id)
