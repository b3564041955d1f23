"""The carrier: delivers every confirmed shipment, and reports it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schemas.event import Event
from schemas.events import ShipmentConfirmed, ShipmentDelivered
from services.upstream.role import Intent, Role, repeated
from services.upstream.simulation import Simulation

_DELIVERED = "ShipmentDelivered"


def react(event: Event, world: Simulation) -> Sequence[Intent]:
    """What the carrier means to do about ``event``: a confirmed shipment is delivered."""
    if not isinstance(event, ShipmentConfirmed):
        return []
    after = world.delay(event.order_id, _DELIVERED)
    return repeated(world, event.order_id, _DELIVERED, after, event.shipment_id)


def report(kind: str, order_id: str, shipment_id: str | None, at: datetime) -> Event:
    """The event that reports a delivery."""
    if kind != _DELIVERED or shipment_id is None:
        raise ValueError(f"the carrier reports deliveries of shipments, not {kind} of {shipment_id}")
    return ShipmentDelivered(order_id=order_id, shipment_id=shipment_id, delivered_at=at)


CARRIER: Final = Role(
    name="carrier",
    source="/upstream/carrier",
    listens_to=(ShipmentConfirmed,),
    react=react,
    report=report,
)
"""Listens to confirmed shipments; reports deliveries."""
