"""How far a group is, as the last transaction that published it told Kafka.

The word of the database counts, and Kafka's refines it: within the window of one name, Kafka knows how far the
transactions came. A name is written to the database before the first transaction of its window ends, so a
database that knows the name is no older than the window; one that went back in time (a restored backup, a failover
that lost the end) does not know it, and its own, older word counts: at least once, nothing lost. See
docs/decisions/0018.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from uuid import UUID

from outbox.cursor import Cursor
from outbox.identity import ClusterIdentity


@dataclass(frozen=True, slots=True)
class Position:
    """What one transaction said of its group."""

    identity: ClusterIdentity
    window_name: UUID | None
    """The window that it published a part of; nothing when it retried parked rows between two windows."""
    after: int
    """Rows of the window up to this id are published."""
    settled: tuple[int, ...] = ()
    """Parked rows that it published: they are parked no more."""

    @classmethod
    def of(cls, identity: ClusterIdentity, cursor: Cursor, settled: tuple[int, ...] = ()) -> Position:
        """The position at ``cursor``."""
        name = cursor.window.name if cursor.window else None
        return cls(identity, name, cursor.after, settled)

    def to_bytes(self) -> bytes:
        """The record's value: JSON, so that a person can read it with any client."""
        system_identifier, timeline, database_oid, generation = self.identity.as_arguments()
        fields = {
            "system_identifier": str(system_identifier),
            "timeline": timeline,
            "database_oid": database_oid,
            "generation": str(generation),
            "window": str(self.window_name) if self.window_name else None,
            "after": self.after,
            "settled": list(self.settled),
        }
        return json.dumps(fields).encode()

    @classmethod
    def from_bytes(cls, value: bytes) -> Position:
        """What :meth:`to_bytes` wrote; ``ValueError`` or ``KeyError`` for anything else."""
        fields = json.loads(value)
        identity = ClusterIdentity(
            int(fields["system_identifier"]),
            int(fields["timeline"]),
            int(fields["database_oid"]),
            UUID(fields["generation"]),
        )
        name = UUID(fields["window"]) if fields["window"] else None
        return cls(identity, name, int(fields["after"]), tuple(map(int, fields["settled"])))


def newer(stored: Cursor, position: Position | None) -> Cursor:
    """Where a group stands, by what the database has ``stored`` and what Kafka says."""
    window = stored.window
    if position is None or window is None or window.name is None or window.name != position.window_name:
        return stored
    return replace(stored, after=max(stored.after, position.after))
