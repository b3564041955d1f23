"""Revenue by UTC day and currency, kept as differences so that a repeated batch adds nothing.

Source: design §11, "Money": revenue counts at shipment, on the UTC day of it. An order counts as soon as both its
submission (the amounts) and its shipment (the day) are known, whichever comes last.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date
from decimal import Decimal

from consumers.analytics.facts import OrderFacts


@dataclass(frozen=True, slots=True, order=True)
class RevenueDay:
    """A UTC day and a currency: one row of ``analytics.revenue_by_day``."""

    day: date
    currency: str


@dataclass(frozen=True, slots=True)
class Revenue:
    """Orders shipped and their worth; in a difference the figures may be negative."""

    orders: int
    gross: Decimal
    net: Decimal

    def __add__(self, other: Revenue) -> Revenue:
        return Revenue(self.orders + other.orders, self.gross + other.gross, self.net + other.net)

    def __neg__(self) -> Revenue:
        return Revenue(-self.orders, -self.gross, -self.net)


_NOTHING = Revenue(0, Decimal("0.00"), Decimal("0.00"))


def revenue_of(facts: OrderFacts) -> tuple[RevenueDay, Revenue] | None:
    """What one order adds to the revenue, and where; ``None`` while its amounts or its shipment are unknown."""
    if facts.shipped_at is None or facts.currency is None or facts.gross is None or facts.net is None:
        return None
    day = facts.shipped_at.astimezone(UTC).date()
    return RevenueDay(day, facts.currency), Revenue(1, facts.gross, facts.net)


def revenue_change(changes: Iterable[tuple[OrderFacts, OrderFacts]]) -> dict[RevenueDay, Revenue]:
    """The difference that ``(before, after)`` pairs make, in key order (rows are always locked in one order)."""
    total: dict[RevenueDay, Revenue] = {}
    for before, after in changes:
        if (old := revenue_of(before)) is not None:
            total[old[0]] = total.get(old[0], _NOTHING) + -old[1]
        if (new := revenue_of(after)) is not None:
            total[new[0]] = total.get(new[0], _NOTHING) + new[1]
    return {key: total[key] for key in sorted(total) if total[key] != _NOTHING}
