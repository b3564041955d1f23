"""Rows that Kafka refused: set aside with the reason, holding only their own key.

Later rows of the key are parked behind the refused one, so that its order is kept. A person mends the cause
and says ``retry`` (all of the key, in order) or ``skip`` (the head is given up, the rest follows). The
relay does the sending, for it alone knows what else of the key is under way.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from infra.queries import load
from outbox.columns import ROW
from outbox.errors import NotParkedError
from outbox.headers import headers_of
from outbox.publisher import Key, Refusal
from outbox.shards import shards_of
from outbox.window import Row

_SQL = load(__file__, "parking.sql", row=ROW)


async def park(connection: asyncpg.Connection[Any], refusals: Sequence[Refusal]) -> None:
    """Copy the refused rows aside; part of the caller's transaction."""
    await connection.execute(_SQL["park"], *_columns(refusals))


async def held_keys(connection: asyncpg.Connection[Any], groups: Iterable[int]) -> set[Key]:
    """The keys of ``groups`` that wait behind a parked row."""
    return {
        (row["topic"], row["key"]) for row in await connection.fetch(_SQL["held_keys"], shards_of(groups))
    }


async def to_retry(connection: asyncpg.Connection[Any], groups: Iterable[int], limit: int) -> list[Row]:
    """At most ``limit`` parked rows that somebody asked to retry, in the order in which they must be sent."""
    rows: list[Row] = await connection.fetch(_SQL["to_retry"], shards_of(groups), limit)
    return rows


async def settle(
    connection: asyncpg.Connection[Any], rows: Sequence[Row], refusals: Sequence[Refusal]
) -> None:
    """After a retry of ``rows``: what was sent is parked no more, what was refused again waits again."""
    refused = {refusal.row["id"] for refusal in refusals}
    async with connection.transaction():
        await connection.execute(_SQL["sent"], [row["id"] for row in rows if row["id"] not in refused])
        await connection.execute(_SQL["refused_again"], *_columns(refusals))


async def forget(connection: asyncpg.Connection[Any], ids: Sequence[int]) -> None:
    """These rows are parked no more, for Kafka has them: what a relay that died could not settle."""
    await connection.execute(_SQL["sent"], ids)


async def parked_rows(
    connection: asyncpg.Connection[Any],
    *,
    key: str | None = None,
    topic: str | None = None,
    skipped: bool = False,
    limit: int = 1000,
) -> list[dict[str, Any]]:
    """What is parked, at most ``limit`` rows, the head of each key first."""
    return [dict(row) for row in await connection.fetch(_SQL["list"], key, topic, skipped, limit)]


@dataclass(frozen=True, slots=True)
class ParkedRecord:
    """A parked row as the record that it would be, with why it is none yet."""

    id: int
    topic: str
    key: str
    state: str
    reason: str
    created_at: datetime
    parked_at: datetime
    headers: tuple[tuple[str, str], ...]
    value: bytes


async def parked_records(
    connection: asyncpg.Connection[Any],
    *,
    row_id: int | None = None,
    key: str | None = None,
    topic: str | None = None,
    skipped: bool = False,
) -> AsyncGenerator[ParkedRecord, None]:
    """Parked rows whole, the head of each key first, read as they are asked for."""
    async with connection.transaction(readonly=True):
        async for row in connection.cursor(_SQL["records"], key, topic, skipped, row_id, prefetch=20):
            yield ParkedRecord(
                row["id"],
                row["topic"],
                row["key"],
                row["state"],
                row["reason"],
                row["created_at"],
                row["parked_at"],
                tuple((name, value.decode()) for name, value in headers_of(row)),
                row["value"],
            )


async def retry(
    connection: asyncpg.Connection[Any], *, key: str | None = None, topic: str | None = None
) -> int:
    """Ask the relay to send what is parked of ``key``, of ``topic``, or all; how many rows that concerns."""
    return len(await connection.fetch(_SQL["ask_retry"], key, topic))


async def skip(connection: asyncpg.Connection[Any], row_id: int) -> Key:
    """Give up the row ``row_id`` and let the rest of its key follow; returns topic and key.

    Raises :class:`NotParkedError` when it is not parked, or not the first of its key.
    """
    async with connection.transaction():
        row = await connection.fetchrow(_SQL["skip"], row_id)
        if row is None:
            raise NotParkedError(
                f"row {row_id} is not parked, or not the first of its key: see `tidegate outbox parked list`"
            )
        await connection.execute(_SQL["retry_key"], row["topic"], row["key"])
    return row["topic"], row["key"]


def _columns(refusals: Sequence[Refusal]) -> tuple[list[int], list[str]]:
    return [refusal.row["id"] for refusal in refusals], [refusal.reason for refusal in refusals]
