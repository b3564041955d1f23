"""Checkouts: what customers have asked to pay for, and how each attempt ended.

Source: 000, "Architecture": validate, authorise, create the order, ask for a decision on fraud.
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.checkouts.operations import Checkouts
from services.checkouts.states import CheckoutState
from services.checkouts.views import CheckoutView
from services.orders import CheckoutSubmission

MIGRATIONS = MigrationRoom("checkouts", Path(__file__).parent / "migrations")
"""The revisions of the schema ``checkouts``."""

__all__ = ["MIGRATIONS", "CheckoutState", "CheckoutSubmission", "CheckoutView", "Checkouts"]
