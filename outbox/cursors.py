"""Where cursors are kept: in the database whose rows they count, one log a group, fenced by the owner's
epoch.

A cursor that lives beside the rows goes back in time together with them. It is therefore right after a
failover and after a recovery to a point in time as well: whatever was not yet published at that point is
published again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg

from infra.queries import load
from outbox.cursor import Cohort, Cursor, Window, merged
from outbox.errors import LeaseLostError
from outbox.identity import ClusterIdentity, require_same_database
from outbox.snapshot import Snapshot

_SQL = load(__file__, "cursors.sql")


class Cursors:
    """The stored cursors of the groups that one relay owns."""

    def __init__(self, connection: asyncpg.Connection[Any], owner: str, identity: ClusterIdentity) -> None:
        self._connection = connection
        self._owner = owner
        self._identity = identity
        self._revisions: dict[int, int] = {}

    async def load(self, groups: Iterable[int]) -> list[Cohort]:
        """Where each of ``groups`` stands.

        Raises :class:`RelayRefusedError` when a cursor was made in another database than this one.
        """
        wanted = sorted(groups)
        rows = {row["shard_group"]: row for row in await self._connection.fetch(_SQL["load"], wanted)}
        for row in rows.values():
            require_same_database(_identity_of(row), self._identity)
        self._revisions.update({group: rows[group]["revision"] if group in rows else 0 for group in wanted})
        return merged(
            [
                Cohort(frozenset({group}), cursor_of(rows[group]) if group in rows else Cursor())
                for group in wanted
            ]
        )

    async def store(self, cohort: Cohort, epochs: Mapping[int, int]) -> None:
        """Remember the cohort's place; durable when this returns.

        Raises :class:`LeaseLostError`, with nothing stored, when one of the groups has another owner by now.
        """
        groups, cursor = sorted(cohort.groups), cohort.cursor
        revisions = [self._revisions[group] + 1 for group in groups]
        stored = await self._connection.fetch(
            _SQL["store"],
            self._owner,
            groups,
            [epochs.get(group, -1) for group in groups],
            revisions,
            cursor.snapshot.text,
            cursor.floor,
            cursor.window.end.text if cursor.window else None,
            cursor.window.ceiling if cursor.window else None,
            cursor.window.name if cursor.window else None,
            cursor.after,
            *self._identity.as_arguments(),
        )
        if not stored:
            raise LeaseLostError(f"another relay owns some of the groups {groups} now; nothing was stored")
        self._revisions.update(zip(groups, revisions, strict=True))


async def prune(connection: asyncpg.Connection[Any]) -> None:
    """Forget revisions of every group that are long superseded."""
    await connection.execute(_SQL["prune"])


def cursor_of(row: asyncpg.Record) -> Cursor:
    """The cursor in a row of ``outbox.cursors``."""
    window = None
    if row["window_end"]:
        window = Window(Snapshot.parse(row["window_end"]), row["ceiling"], row["window_name"])
    return Cursor(Snapshot.parse(row["snapshot"]), row["floor"], window, row["after"])


def _identity_of(row: asyncpg.Record) -> ClusterIdentity:
    return ClusterIdentity(row["system_identifier"], row["timeline"], row["database_oid"], row["generation"])
