"""WMS, the warehouse context: which pick waves the floor has been given.

Source: 003, "Ownership Boundaries": warehouse execution is WMS's. Picks and packs are facts from the floor
and come through Kafka; the tables change only through CreatePickWave and CancelPickWave (design §11).
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.wms.operations import Wms
from services.wms.states import WaveState
from services.wms.views import WaveView

MIGRATIONS = MigrationRoom("wms", Path(__file__).parent / "migrations")
"""The revisions of the schema ``wms``."""

__all__ = ["MIGRATIONS", "WaveState", "WaveView", "Wms"]
