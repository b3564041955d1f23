"""The returns desk of the warehouse: takes in the parcels that were announced, looks at them, and reports it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from schemas.event import Event
from schemas.events import InspectedLine, ReturnApproved, ReturnInspected, ReturnReceived
from services.upstream.role import Intent, Role, repeated
from services.upstream.simulation import Simulation

_RECEIVED = "ReturnReceived"
_INSPECTED = "ReturnInspected"


def react(event: Event, world: Simulation) -> Sequence[Intent]:
    """What the desk means to do about ``event``: an approved return comes, and is inspected; or the other way round.

    The subject of the tasks is the return, their reference the order and what will be found, as JSON.
    """
    if not isinstance(event, ReturnApproved):
        return []
    return_id = event.return_id
    first = world.delay(return_id, _RECEIVED)
    second = first + world.delay(return_id, _INSPECTED)
    swapped = world.happens(world.reorder, return_id, "reorder")
    received, inspected = (second, first) if swapped else (first, second)
    found = [line.to_json() for line in found_in(event, world)]
    reference = json.dumps({"order_id": event.order_id, "lines": found})
    tasks = [
        *repeated(world, return_id, _RECEIVED, received, reference),
        *repeated(world, return_id, _INSPECTED, inspected, reference),
    ]
    return sorted(tasks, key=lambda task: task.after)


def found_in(event: ReturnApproved, world: Simulation) -> list[InspectedLine]:
    """What the parcel holds: everything that was announced, or less, each line fit for the shelf or not.

    Where the simulation wants pieces missing, only half of a line is there (none, of a single piece).
    """
    lines = []
    for line in event.lines:
        missing = world.happens(world.return_missing, event.return_id, f"missing/{line.sku}")
        quantity = line.quantity // 2 if missing else line.quantity
        drawn = world.draw(event.return_id, f"disposition/{line.sku}")
        if drawn < world.return_scrap:
            disposition = "scrap"
        elif drawn < world.return_scrap + world.return_reject:
            disposition = "reject"
        else:
            disposition = "restock"
        if quantity:
            lines.append(InspectedLine(sku=line.sku, quantity=quantity, disposition=disposition))
    return lines


def report(kind: str, return_id: str, reference: str | None, at: datetime) -> Event:
    """The event that reports a parcel, or what was found in it."""
    if kind not in {_RECEIVED, _INSPECTED} or reference is None:
        raise ValueError(f"the returns desk reports parcels and inspections, not {kind} of {reference}")
    found = json.loads(reference)
    if kind == _RECEIVED:
        return ReturnReceived(return_id=return_id, order_id=found["order_id"], received_at=at)
    return ReturnInspected(
        return_id=return_id,
        order_id=found["order_id"],
        inspected_at=at,
        lines=tuple(InspectedLine.from_json(line) for line in found["lines"]),
    )


RETURNS_DESK: Final = Role(
    name="returns",
    source="/upstream/returns",
    listens_to=(ReturnApproved,),
    react=react,
    report=report,
)
"""Listens to approved returns; reports parcels and what was found in them."""
