"""Records sent through the bridge again: `tidegate replay` from a topic, `tidegate dlq redrive` from its dead letters.

Both say first what they would do, both ask the ledger for every record, and both leave a row in ``replay.runs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infra.migrations import MigrationRoom

MIGRATIONS: Final = MigrationRoom(schema="replay", folder=Path(__file__).parent / "migrations")
"""The revisions of the PostgreSQL schema ``replay``."""

__all__ = ["MIGRATIONS"]
