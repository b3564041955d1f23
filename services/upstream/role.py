"""What a role of the outside world is: what it listens to, what it means to do, and how it reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from schemas.event import Event
from services.upstream.simulation import Simulation


class Occurrence(StrEnum):
    """Whether a fact is reported for the first time, the same event comes again, or under a new event id."""

    FIRST = "first"
    AGAIN = "again"
    RENAMED = "renamed"


@dataclass(frozen=True, slots=True)
class Task:
    """A fact about an order to be reported: ``kind`` is the event's name, ``after`` the time until it is due.

    ``reference`` is the id of the wave or shipment that it is about, where one is known.
    """

    order_id: str
    kind: str
    occurrence: Occurrence
    after: timedelta
    reference: str | None


@dataclass(frozen=True, slots=True)
class CallOff:
    """Nothing more is to be reported about an order, except what was."""

    order_id: str


Intent: TypeAlias = Task | CallOff


@dataclass(frozen=True, slots=True)
class Role:
    """One simulated system, as data and pure functions.

    ``react`` says what an event makes the role intend; ``report`` makes the event of a fact from kind, order,
    reference and time.
    """

    name: str
    source: str
    listens_to: tuple[type[Event], ...]
    react: Callable[[Event, Simulation], Sequence[Intent]]
    report: Callable[[str, str, str | None, datetime], Event]

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics to subscribe to."""
        return tuple(sorted({event.TOPIC for event in self.listens_to}))


def repeated(
    world: Simulation, order_id: str, kind: str, after: timedelta, reference: str | None
) -> list[Task]:
    """The report of a fact, and the repeats that the simulation wants of it, each after the first."""
    reports = [Task(order_id, kind, Occurrence.FIRST, after, reference)]
    if world.happens(world.duplicate, order_id, f"{kind}/again"):
        later = after + world.delay(order_id, f"{kind}/again")
        reports.append(Task(order_id, kind, Occurrence.AGAIN, later, reference))
    if world.happens(world.duplicate_fact, order_id, f"{kind}/renamed"):
        later = after + world.delay(order_id, f"{kind}/renamed")
        reports.append(Task(order_id, kind, Occurrence.RENAMED, later, reference))
    return reports
