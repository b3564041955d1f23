"""What the audit looks at, as plain values: what was committed, what was published, what was done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from tidegate.audit.money import OrderMoney, ProviderBooks


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A committed row of one source database's outbox."""

    database: str
    id: int
    event_id: UUID
    topic: str
    key: str
    type: str
    source: str
    subject: str
    sequence: int | None


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it stands in Kafka, seen by its headers only."""

    topic: str
    partition: int
    offset: int
    key: str | None
    event_id: UUID
    type: str
    source: str
    subject: str | None
    sequence: int | None
    routed: bool
    """Whether the bridge has a route for it."""

    @property
    def place(self) -> str:
        """``topic:partition:offset``, as commands take it."""
        return f"{self.topic}:{self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """What the bridge wrote down about one delivery."""

    event_id: UUID
    topic: str
    partition: int
    offset: int
    key: str | None
    workflow_id: str | None
    route: str
    outcome: str
    in_order: bool
    """Whether order is promised for it: parked, replayed and redriven events come when they can."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one audit is about."""

    rows: tuple[OutboxRow, ...]
    records: tuple[Record, ...]
    ledger: tuple[LedgerEntry, ...]
    waiting_events: frozenset[UUID]
    """Events that stand parked and so have their record elsewhere than in the ledger."""
    submissions: Mapping[str, str]
    """request_id → order_id of every order that was submitted."""
    workflows: frozenset[str]
    """Workflow ids that Temporal knows."""
    effects: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(what, order_id) → how many of it the services' tables hold: reservations, waves, shipments."""
    money: tuple[OrderMoney, ...] = ()
    """Every paid order, and every payment, as the services hold them."""
    books: tuple[ProviderBooks, ...] = ()
    """What the payment provider has done, where its books can be read."""
