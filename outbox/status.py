"""How far publishing has come in one database: lag by group, owners, and what holds rows back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from infra.queries import load

_SQL = load(__file__, "status.sql")


@dataclass(frozen=True, slots=True)
class GroupStatus:
    """One group of shards.

    ``lag_rows`` are committed and not known to be published; ``lag_seconds`` have passed since the oldest of
    them was appended.
    """

    shard_group: int
    owner: str | None
    epoch: int
    alive: bool
    revision: int | None
    snapshot: str
    stored_at: datetime | None
    lag_rows: int
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class RelayStatus:
    """One relay: its profile, since when, by which process of PostgreSQL, how many groups it owns. One that owns none
    stands by."""

    name: str
    profile: str
    since: datetime
    alive: bool
    pid: int
    groups: int


@dataclass(frozen=True, slots=True)
class Blocker:
    """The oldest transaction that has written and not ended: process id, age in seconds, what it does.

    A transaction that was prepared for two phases has no process.
    """

    pid: int | None
    seconds: float
    state: str | None
    query: str | None


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """One database's outbox."""

    groups: tuple[GroupStatus, ...]
    relays: tuple[RelayStatus, ...]
    blocker: Blocker | None
    parked: int

    @property
    def lag_rows(self) -> int:
        """Rows that wait, all groups together."""
        return sum(group.lag_rows for group in self.groups)

    @property
    def lag_seconds(self) -> float:
        """Age of the oldest row that waits."""
        return max((group.lag_seconds for group in self.groups), default=0.0)


async def outbox_status(connection: asyncpg.Connection[Any], *, count_to: int = 1_000_000) -> OutboxStatus:
    """The outbox's state now; rows that wait are counted up to ``count_to``."""
    groups = await connection.fetch(_SQL["groups"], count_to)
    blocker = await connection.fetchrow(_SQL["blocker"])
    return OutboxStatus(
        tuple(GroupStatus(**dict(row)) for row in groups),
        tuple(RelayStatus(**dict(row)) for row in await connection.fetch(_SQL["relays"])),
        Blocker(**dict(blocker)) if blocker else None,
        await connection.fetchval(_SQL["parked"]),
    )
