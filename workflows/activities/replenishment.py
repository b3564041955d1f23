"""The activities of a replenishment, all owned by IMS. Source: design §7, ReplenishmentWorkflow."""

from __future__ import annotations

from temporalio import activity

from services.ims import Ims
from workflows.activities.contracts import replenishment as contracts
from workflows.activities.contracts.replenishment import (
    ReplenishmentLot,
    ReplenishmentReference,
    StockReceipt,
    SupplierReminder,
)
from workflows.activities.refusals import refusals


class ReplenishmentActivities:
    """New stock for a shortage, each activity one idempotent operation of IMS."""

    def __init__(self, ims: Ims) -> None:
        self._ims = ims

    @activity.defn(name=contracts.ORDER_REPLENISHMENT.name)
    async def order_replenishment(self, shortage: ReplenishmentReference) -> ReplenishmentLot:
        """Order what ends the shortage, if it has not passed."""
        with refusals():
            return ReplenishmentLot(await self._ims.order_replenishment(shortage.sku, shortage.cycle))

    @activity.defn(name=contracts.REMIND_SUPPLIER.name)
    async def remind_supplier(self, reminder: SupplierReminder) -> None:
        """Tell the supplier the order once more, once for each number."""
        with refusals():
            await self._ims.remind_supplier(reminder.sku, reminder.cycle, reminder.number)

    @activity.defn(name=contracts.RECEIVE_REPLENISHMENT.name)
    async def receive_replenishment(self, receipt: StockReceipt) -> None:
        """Book in what came, and serve the orders that wait for it, first come, first served."""
        with refusals():
            await self._ims.receive_replenishment(receipt.sku, receipt.cycle, receipt.quantity)
