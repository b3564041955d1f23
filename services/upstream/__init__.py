"""The simulated outside world: storefront, warehouse floor and carrier, for demos and tests.

Its processes know Kafka and a database of their own, as real ones would. They behave as a :class:`Simulation`
says: late, twice, in the wrong order, too early, and always the same for the same seed.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.upstream.simulation import Simulation
from services.upstream.storefront import Storefront, SubmitResult

MIGRATIONS = MigrationRoom("upstream", Path(__file__).parent / "migrations")
"""The revisions of the schema ``upstream``, in the database ``upstream``."""

__all__ = ["MIGRATIONS", "Simulation", "Storefront", "SubmitResult"]
