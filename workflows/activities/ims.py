"""The activities that IMS owns. Source: 003, "Activities Used", "Ownership Boundaries"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from temporalio import activity

from services.ims import Ims
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.orders import AllocationResult, OrderReference
from workflows.activities.refusals import refusals


class OrderedLine(Protocol):
    """What of an order's line concerns the stock."""

    @property
    def sku(self) -> str:
        """What is ordered."""

    @property
    def quantity(self) -> int:
        """How many of it."""


class OrderLines(Protocol):
    """Where the lines of an order are read: OMS owns them, workflows do not carry them."""

    async def order_lines(self, order_id: str) -> Sequence[OrderedLine]:
        """The lines of the order."""


class ImsActivities:
    """The order's stock, each activity one idempotent operation of IMS."""

    def __init__(self, ims: Ims, orders: OrderLines) -> None:
        self._ims = ims
        self._orders = orders

    @activity.defn(name=contracts.ALLOCATE_INVENTORY.name)
    async def allocate_inventory(self, order: OrderReference) -> AllocationResult:
        """Reserve what the order needs, or queue for it; a bill of materials is expanded by IMS."""
        with refusals():
            lines = await self._orders.order_lines(order.order_id)
            allocation = await self._ims.allocate(
                order.order_id, [(line.sku, line.quantity) for line in lines], flow=order.flow
            )
        return AllocationResult(str(allocation.status), allocation.reason)

    @activity.defn(name=contracts.CONSUME_INVENTORY.name)
    async def consume_inventory(self, order: OrderReference) -> None:
        """What was reserved has left the shelf."""
        with refusals():
            await self._ims.consume(order.order_id)

    @activity.defn(name=contracts.RELEASE_INVENTORY.name)
    async def release_inventory(self, order: OrderReference) -> None:
        """Give the reservation, or the place in the queue, to others. Bears that there is none."""
        with refusals():
            await self._ims.release(order.order_id)

    @activity.defn(name=contracts.RETURN_INVENTORY.name)
    async def return_inventory(self, order: OrderReference) -> None:
        """Put back on the shelf what was consumed."""
        with refusals():
            await self._ims.return_consumed(order.order_id)
