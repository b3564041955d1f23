"""Which database a cursor belongs to, and what makes a database unfit to be relayed.

A snapshot means something only in the database that took it. After a dump was restored elsewhere, numbers of
transactions begin anew: rows would be skipped in silence. So each cursor carries the system identifier, the
timeline, the database's oid and a generation kept in the database, and a relay compares before it starts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import structlog

from infra.errors import UnavailableError
from infra.queries import load
from outbox.errors import RelayRefusedError

_SQL = load(__file__, "identity.sql")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ClusterIdentity:
    """A database, as PostgreSQL tells one from another."""

    system_identifier: int
    timeline: int
    database_oid: int
    generation: UUID

    def as_arguments(self) -> tuple[int, int, int, UUID]:
        """The values in the order of the columns."""
        return self.system_identifier, self.timeline, self.database_oid, self.generation


async def refuse_dangers(connection: asyncpg.Connection[Any]) -> None:
    """Refuse to publish from a database where a committed row is not yet a fact.

    Raises :class:`RelayRefusedError`; :class:`UnavailableError` for a standby, which may be promoted yet.
    """
    row = await connection.fetchrow(_SQL["dangers"])
    if row is None or row["missing"]:
        raise RelayRefusedError(
            "this database has no outbox, or one of an earlier version: run `tidegate migrate`, then start the"
            " relay again"
        )
    if row["lacking"]:
        raise RelayRefusedError(
            f"the login {row['login']} may not {row['lacking']}: run `tidegate outbox roles` as the owner of the"
            f" database, then GRANT tidegate_relay TO {row['login']}, and start the relay again"
        )
    if row["standby"]:
        raise UnavailableError(
            "this PostgreSQL is a standby; the relay waits until it is promoted or the address moves"
        )
    if row["lazy"] or row["lazy_somewhere"]:
        raise RelayRefusedError(
            "synchronous_commit is off for this database or one of its roles: a crash could take back rows"
            " that were already published. Set it to on (ALTER DATABASE … RESET synchronous_commit, ALTER"
            " ROLE … RESET synchronous_commit, postgresql.conf), then start the relay again"
        )


async def identify(connection: asyncpg.Connection[Any]) -> ClusterIdentity:
    """Which database this is; :class:`RelayRefusedError` when it is a copy of the one its outbox was made
    in."""
    row = await connection.fetchrow(_SQL["current"])
    if row is None:
        raise RelayRefusedError(
            "outbox.generation is empty: run `tidegate outbox adopt` to say what this database is"
        )
    identity = ClusterIdentity(
        row["system_identifier"], row["timeline"], row["database_oid"], row["generation"]
    )
    noted = ClusterIdentity(
        row["noted_system_identifier"], row["timeline"], row["noted_database_oid"], row["generation"]
    )
    require_same_database(noted, identity)
    return identity


def require_same_database(noted: ClusterIdentity, current: ClusterIdentity) -> None:
    """Refuse a cursor that was made in another database; go on, and say so, after a failover.

    Raises :class:`RelayRefusedError`. After a failover or a recovery the timeline differs and the cursor came
    along with the rows, so publishing goes on from it: what the new timeline lacks may have been published
    already, and what it has is published at least once.
    """
    if (noted.system_identifier, noted.database_oid, noted.generation) != (
        current.system_identifier,
        current.database_oid,
        current.generation,
    ):
        raise RelayRefusedError(
            f"this database is a restored copy (its outbox was made in system {noted.system_identifier},"
            f" database {noted.database_oid}; this is system {current.system_identifier}, database"
            f" {current.database_oid}): if it replaces the original, run `tidegate outbox adopt` and start"
            " the relay again; if the original lives, drop the schema outbox here, or both would publish"
        )
    if noted.timeline != current.timeline:
        _log.warning(
            "timeline changed", was=noted.timeline, now=current.timeline, going_on_from="the stored cursor"
        )


async def adopt(connection: asyncpg.Connection[Any]) -> UUID:
    """Make a restored copy a database of its own, from which unpublished rows go out; returns its new
    generation.

    Rewrites the number of each row, for those of the original mean nothing here. Locks the outbox against
    appends while it runs. Rows published after the dump was taken are published again (at least once).
    """
    async with connection.transaction():
        await connection.execute("LOCK TABLE outbox.events, outbox.ownership IN EXCLUSIVE MODE")
        snapshot: str = await connection.fetchval("SELECT pg_current_snapshot()::text")
        await connection.execute(_SQL["adopt"])
        await connection.execute(_SQL["free_groups"])
        await connection.execute(_SQL["forget_cursors"])
        generation: UUID = await connection.fetchval(_SQL["begin_generation"])
        row = await connection.fetchrow(_SQL["current"])
        if row is None:
            raise RelayRefusedError("outbox.generation is empty; restore it before adopting")
        identity = ClusterIdentity(row["system_identifier"], row["timeline"], row["database_oid"], generation)
        await connection.execute(_SQL["place_cursors"], snapshot, *identity.as_arguments())
    return generation
