"""The supplier: delivers what IMS has ordered, and reports it; sometimes less than was ordered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schemas.event import Event
from schemas.events import ReplenishmentOrdered, ReplenishmentReceived
from services.upstream.role import Intent, Role, repeated
from services.upstream.simulation import Simulation

_RECEIVED = "ReplenishmentReceived"
_SHORTEST, _LONGEST = 0.2, 0.8
"""Shares of the lot between which a short delivery lies."""


def react(event: Event, world: Simulation) -> Sequence[Intent]:
    """What the supplier means to do about ``event``: a lot is delivered once, however often it is asked for.

    The subject of the task is ``<sku>/<cycle>``, its reference the number of pieces.
    """
    if not isinstance(event, ReplenishmentOrdered):
        return []
    lot = f"{event.sku}/{event.cycle}"
    after = world.delay(lot, _RECEIVED)
    return repeated(world, lot, _RECEIVED, after, str(delivered(event.quantity, lot, world)))


def delivered(quantity: int, lot: str, world: Simulation) -> int:
    """How many of ``quantity`` pieces come: all, or fewer where the simulation wants a short delivery."""
    if not world.happens(world.short_delivery, lot, "short"):
        return quantity
    share = _SHORTEST + (_LONGEST - _SHORTEST) * world.draw(lot, "short/share")
    return max(1, int(quantity * share))


def report(kind: str, lot: str, pieces: str | None, at: datetime) -> Event:
    """The event that reports a delivery."""
    sku, _, cycle = lot.rpartition("/")
    if kind != _RECEIVED or pieces is None:
        raise ValueError(f"the supplier reports deliveries of pieces, not {kind} of {pieces}")
    return ReplenishmentReceived(sku=sku, cycle=int(cycle), quantity=int(pieces), received_at=at)


SUPPLIER: Final = Role(
    name="supplier",
    source="/upstream/supplier",
    listens_to=(ReplenishmentOrdered,),
    react=react,
    report=report,
)
"""Listens to lots that are ordered; reports deliveries."""
