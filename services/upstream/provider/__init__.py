"""A payment provider for runs on one machine: an HTTP service with idempotency keys, faults and books of its own.

It knows nothing of tidegate but HTTP, as the provider outside would. ``tidegate simulate payments`` runs it.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.upstream.provider.books import Books, BooksView
from services.upstream.provider.faults import Faults
from services.upstream.provider.server import ProviderServer

MIGRATIONS = MigrationRoom("provider", Path(__file__).parent / "migrations")
"""The revisions of the schema ``provider``, in the database of the simulated upstream systems."""

__all__ = ["MIGRATIONS", "Books", "BooksView", "Faults", "ProviderServer"]
