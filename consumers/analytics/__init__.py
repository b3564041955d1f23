"""Read models of the order topics: facts of each order, revenue by UTC day and currency.

A faust application (`application`) reads the topics, a pure fold (`facts`, `revenue`) says what an event changes, and
a PostgreSQL sink (`sink`) writes it once. `lag` says how far the application is behind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from infra.migrations import MigrationRoom

MIGRATIONS: Final = MigrationRoom(schema="analytics", folder=Path(__file__).parent / "migrations")
"""The revisions of the PostgreSQL schema ``analytics``."""

TOPICS: Final = ("oms.orders", "oms.checkouts", "payments.payments")
"""The topics that tell of orders: their life, what was ordered in a checkout, and what was paid."""

__all__ = ["MIGRATIONS", "TOPICS"]
