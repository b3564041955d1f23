"""What the lines of an order are worth.

Source: design §11, "Money": a discount is a fraction, net is rounded half-even per line. OMS computes the
same by its own code; `tidegate.audit.analytics` compares the two to the cent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Final, Protocol

_CENT: Final = Decimal("0.01")
_EXACT: Final = 64
"""Digits enough for 10 (int quantity) + 18 (price) + 4 (discount), summed over any order that fits a record."""


class PricedLine(Protocol):
    """A line of an order: so many pieces at a price, less a fraction."""

    @property
    def quantity(self) -> int:
        """Pieces."""

    @property
    def unit_price(self) -> Decimal:
        """In the order's currency, two decimal places."""

    @property
    def discount(self) -> Decimal:
        """A fraction of the line: ``0.15`` is 15 %."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """The worth of an order in its currency, two decimal places."""

    gross: Decimal
    net: Decimal


def amounts_of(lines: Iterable[PricedLine]) -> Amounts:
    """Gross is quantity times price; net takes each line's discount off and rounds that line half-even to the cent."""
    with localcontext() as context:
        context.prec = _EXACT
        gross = net = Decimal("0.00")
        for line in lines:
            full = line.quantity * line.unit_price
            gross += full
            net += (full * (1 - line.discount)).quantize(_CENT, rounding=ROUND_HALF_EVEN)
        return Amounts(gross=gross.quantize(_CENT), net=net)
