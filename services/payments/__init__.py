"""Payments: what is held, taken and given back for which order, and what the provider was asked.

Source: 002, "PaymentWorkflow"; 000, "No duplicate charges/orders".
"""

from pathlib import Path

from infra.migrations import MigrationRoom
from services.payments.operations import FRAUD_THRESHOLD, Payments
from services.payments.provider import PaymentProvider
from services.payments.states import PaymentState, RefundState
from services.payments.views import PaymentView, RefundView

MIGRATIONS = MigrationRoom("payments", Path(__file__).parent / "migrations")
"""The revisions of the schema ``payments``."""

__all__ = [
    "FRAUD_THRESHOLD",
    "MIGRATIONS",
    "PaymentProvider",
    "PaymentState",
    "PaymentView",
    "Payments",
    "RefundState",
    "RefundView",
]
