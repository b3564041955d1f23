"""The audit of a run: was anything lost, done twice or put out of order? (design §9)"""

from tidegate.audit.checks import Finding, audit
from tidegate.audit.evidence import Evidence, LedgerEntry, OutboxRow, Record
from tidegate.audit.money import OrderMoney, ProviderBooks

__all__ = [
    "Evidence",
    "Finding",
    "LedgerEntry",
    "OrderMoney",
    "OutboxRow",
    "ProviderBooks",
    "Record",
    "audit",
]
