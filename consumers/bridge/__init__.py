"""Domain events from Kafka into Temporal workflows: each one once, in the order of its key, none lost.

`routes` says which event does what (`route` is the language, `delivery` the outcomes), `bridge.BridgeHandler`
takes a record through to its outcome, `ledger` and `parking` keep what must outlive a process,
`dead_letters` what cannot be delivered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infra.migrations import MigrationRoom

MIGRATIONS: Final = MigrationRoom(schema="bridge", folder=Path(__file__).parent / "migrations")
"""The revisions of the PostgreSQL schema ``bridge``."""

__all__ = ["MIGRATIONS"]
