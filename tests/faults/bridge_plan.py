"""What a run through the bridge's faults consists of, drawn from a seed: keys, their workflows, events and repeats.

A plan is pure data. Its records come in chunks, one for each fault; a repeat is a second record of the same event, soon
after the first, as a relay that died publishes it again, or some chunks later, by when its workflow has gone on to
another run or has closed.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from consumers.bridge.delivery import Reason
from consumers.bridge.route import Route, on, park, record
from schemas.event import Event
from schemas.events import OrderCancelRequested, PackCompleted, PickCompleted
from workflows.contracts.orders import CANCEL_ORDER, PACK_COMPLETED, PICK_COMPLETED

WORKFLOW_ID: Final = "recipient-{order_id}"
ROUTES: Final[tuple[Route, ...]] = (
    on(PickCompleted).signal(PICK_COMPLETED).to(WORKFLOW_ID, early=park(hours=24), late=record),
    on(PackCompleted).signal(PACK_COMPLETED).to(WORKFLOW_ID, early=park(hours=24), late=record),
    on(OrderCancelRequested).signal(CANCEL_ORDER).to(WORKFLOW_ID, early=park(seconds=1), late=record),
)
"""The routes of the run: reports wait for their workflow, a wish to cancel soon becomes a dead letter."""

_START: Final = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)


class Role(StrEnum):
    """What becomes of the workflow of a key while its events come."""

    PLAIN = "plain"
    """It is there from the first event to the last."""
    EARLY = "early"
    """It is started when events for it wait already."""
    CONTINUED = "continued"
    """It goes on to a new run after every few signals."""
    CLOSING = "closing"
    """It closes after some signals, and more events come."""
    NEVER = "never"
    """Nobody starts it."""


_SHARES: Final = {Role.EARLY: 0.14, Role.CONTINUED: 0.14, Role.CLOSING: 0.10, Role.NEVER: 0.02}
_POISONED: Final = 0.006
_SAME_FACT: Final = 0.03
_REPEATED: Final = 0.08


@dataclass(frozen=True, slots=True)
class PlannedRecord:
    """A record to publish. ``poison`` is why it must become a dead letter at once, where it must."""

    event_id: UUID
    event: Event
    poison: Reason | None = None

    @property
    def value(self) -> bytes | None:
        """What replaces the encoded event; ``b"?"`` leaves it, as :meth:`tests.bridge_support.World.publish` says."""
        return b"\0" if self.poison is Reason.TRUNCATED else b"?"

    @property
    def headers(self) -> dict[str, bytes | None]:
        """What replaces headers of the event."""
        return {"ce_type": b"tests.NobodyKnows"} if self.poison is Reason.UNKNOWN_TYPE else {}


@dataclass(frozen=True, slots=True)
class Plan:
    """Chunks of records; ``roles`` by order id; ``appears`` is the chunk before which a workflow is started."""

    roles: Mapping[str, Role]
    appears: Mapping[str, int]
    chunks: tuple[tuple[PlannedRecord, ...], ...]

    def starting(self, chunk: int) -> list[str]:
        """The order ids whose workflows are started before ``chunk``."""
        return [order_id for order_id, when in self.appears.items() if when == chunk]


def make_plan(
    seed: int,
    *,
    prefix: str,
    keys: int,
    events: int,
    chunks: int,
    roles: Mapping[Role, float] = _SHARES,
    repeated: float = _REPEATED,
) -> Plan:
    """``events`` events over ``keys`` keys (order ids begin with ``prefix``) in ``chunks`` chunks, and repeats besides.

    ``roles`` are the shares of the keys; the rest is plain. ``repeated`` is the share of events with a second record.
    """
    chance = random.Random(f"{seed}/plan")
    order_ids = [f"{prefix}-{number}" for number in range(keys)]
    chance.shuffle(order_ids)
    cast = [role for role, share in roles.items() for _ in range(round(share * keys))]
    role_of = {
        order_id: (cast[number] if number < len(cast) else Role.PLAIN)
        for number, order_id in enumerate(order_ids)
    }
    filled: list[list[PlannedRecord]] = [[] for _ in range(chunks)]
    facts: dict[str, datetime] = {}
    for number in range(events):
        order_id = chance.choice(order_ids)
        chunk = number * chunks // events
        if order_id not in facts or chance.random() >= _SAME_FACT:
            facts[order_id] = _START + timedelta(milliseconds=number)
        planned = _planned(chance, order_id, role_of[order_id], facts[order_id])
        filled[chunk].append(planned)
        if planned.poison is None and chance.random() < repeated:
            again = chunk if chance.random() < 0.5 else min(chunk + chance.randint(1, 3), chunks - 1)
            filled[again].append(planned)
    for records in filled:
        chance.shuffle(records)  # so that a repeat stands anywhere in its chunk
    return Plan(role_of, _appearances(chance, role_of, chunks), tuple(map(tuple, filled)))


def _planned(chance: random.Random, order_id: str, role: Role, at: datetime) -> PlannedRecord:
    event_id = UUID(int=chance.getrandbits(128), version=4)
    if role is Role.NEVER:
        event: Event = OrderCancelRequested(order_id=order_id, requested_by="tests", requested_at=at)
        return PlannedRecord(event_id, event)
    poison = None
    if chance.random() < _POISONED:
        poison = chance.choice((Reason.TRUNCATED, Reason.UNKNOWN_TYPE))
    if chance.random() < 0.5:
        return PlannedRecord(event_id, PickCompleted(order_id=order_id, picked_at=at), poison)
    return PlannedRecord(event_id, PackCompleted(order_id=order_id, packed_at=at), poison)


def _appearances(chance: random.Random, role_of: Mapping[str, Role], chunks: int) -> dict[str, int]:
    return {
        order_id: chance.randrange(1, chunks) if role is Role.EARLY and chunks > 1 else 0
        for order_id, role in role_of.items()
        if role is not Role.NEVER
    }
