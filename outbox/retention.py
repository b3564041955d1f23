"""Day partitions: made ahead, dropped behind.

A day is dropped, never emptied, so the outbox has no dead rows. It is dropped once each group's cursor sees
every transaction in it, which the highest transaction number of the day tells without reading it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg

from infra.queries import load

_SQL = load(__file__, "retention.sql")


@dataclass(frozen=True, slots=True)
class Kept:
    """What one round of maintenance did: partitions made, partitions dropped."""

    made: int
    dropped: tuple[str, ...]


async def maintain(
    connection: asyncpg.Connection[Any], *, days_ahead: int, retention_days: int, identity_days: int
) -> Kept:
    """Make the days ahead, drop those behind that every group has published, forget old identities.

    Takes its locks only if they are free within 200 ms; what could not be done is done the next time. Two
    relays may do it at once.
    """
    made = await _quickly(connection, _SQL["make_days"], days_ahead)
    dropped = [
        row["name"]
        for row in await connection.fetch(_SQL["old_days"], retention_days)
        if await _quickly(connection, _SQL["drop_day"], row["name"])
    ]
    await connection.execute(_SQL["trim_default"], retention_days)
    await connection.execute(_SQL["trim_identities"], identity_days)
    return Kept(made or 0, tuple(dropped))


async def _quickly(connection: asyncpg.Connection[Any], sql: str, argument: object) -> Any:
    """The query's value, or None when somebody else holds a lock that it needs."""
    try:
        async with connection.transaction():
            await connection.execute("SET LOCAL lock_timeout = '200ms'")
            return await connection.fetchval(sql, argument)
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
        return None
