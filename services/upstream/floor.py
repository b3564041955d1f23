"""The warehouse floor: picks and packs each wave, and reports it; sometimes before there is a wave."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from schemas.event import Event
from schemas.events import OrderSubmitted, PackCompleted, PickCompleted, PickWaveCancelled, PickWaveCreated
from services.upstream.role import CallOff, Intent, Role, Task, repeated
from services.upstream.simulation import Simulation

_PICK = "PickCompleted"
_PACK = "PackCompleted"


def react(event: Event, world: Simulation) -> Sequence[Intent]:
    """What the floor means to do about ``event``.

    A wave is picked, then packed, or reported the other way round. What the simulation wants early is
    reported as soon as the order is submitted; the wave then finds it reported. A cancelled wave is left lying.
    """
    match event:
        case OrderSubmitted():
            return [
                task
                for kind in (_PICK, _PACK)
                if world.happens(world.early, event.order_id, f"{kind}/early")
                for task in repeated(world, event.order_id, kind, timedelta(0), None)
            ]
        case PickWaveCreated():
            return _wave(event.order_id, event.wave_id, world)
        case PickWaveCancelled():
            return [CallOff(event.order_id)]
        case _:
            return []


def _wave(order_id: str, wave_id: str, world: Simulation) -> list[Task]:
    first = world.delay(order_id, _PICK)
    second = first + world.delay(order_id, _PACK)
    swapped = world.happens(world.reorder, order_id, "reorder")
    pick, pack = (second, first) if swapped else (first, second)
    tasks = [
        *repeated(world, order_id, _PICK, pick, wave_id),
        *repeated(world, order_id, _PACK, pack, wave_id),
    ]
    return sorted(tasks, key=lambda task: task.after)


def report(kind: str, order_id: str, wave_id: str | None, at: datetime) -> Event:
    """The event that reports a pick or a pack."""
    if kind == _PICK:
        return PickCompleted(order_id=order_id, wave_id=wave_id, picked_at=at)
    return PackCompleted(order_id=order_id, wave_id=wave_id, packed_at=at)


FLOOR: Final = Role(
    name="floor",
    source="/upstream/floor",
    listens_to=(OrderSubmitted, PickWaveCreated, PickWaveCancelled),
    react=react,
    report=report,
)
"""Listens to waves (and to submissions, for what comes early); reports picks and packs."""
