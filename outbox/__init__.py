"""The outbox: events appended in the caller's own transaction, and the relay that publishes them.

Offers :class:`Outbox` to whoever writes, and ``MIGRATIONS`` for the database that holds it. The process that
publishes takes :class:`outbox.relay.Relay`; writers do not pay for importing it.
"""

from __future__ import annotations

from pathlib import Path

from infra.migrations import MigrationRoom
from outbox.append import Append, Outbox

MIGRATIONS = MigrationRoom(schema="outbox", folder=Path(__file__).parent / "migrations")

__all__ = ["MIGRATIONS", "Append", "Outbox"]
