"""The activities that WMS owns. Source: 003, "Activities Used", "Ownership Boundaries"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from temporalio import activity

from services.wms import Wms
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.refusals import refusals


class Reservations(Protocol):
    """Where it is read what is to be picked: IMS has expanded the order into what lies on shelves."""

    async def reservation_lines(self, order_id: str) -> Sequence[tuple[str, int]]:
        """Sku and quantity of each reserved line."""


class WmsActivities:
    """The order's pick wave, each activity one idempotent operation of WMS."""

    def __init__(self, wms: Wms, reservations: Reservations) -> None:
        self._wms = wms
        self._reservations = reservations

    @activity.defn(name=contracts.CREATE_PICK_WAVE.name)
    async def create_pick_wave(self, order: OrderReference) -> str:
        """Have the reserved lines picked, and give the wave's id."""
        with refusals():
            picks = await self._reservations.reservation_lines(order.order_id)
            return await self._wms.create_pick_wave(order.order_id, picks, flow=order.flow)

    @activity.defn(name=contracts.CANCEL_PICK_WAVE.name)
    async def cancel_pick_wave(self, order: OrderReference) -> None:
        """Call the wave off. Bears that there is none, and then keeps a late one from being made."""
        with refusals():
            await self._wms.cancel_pick_wave(order.order_id)
