"""An order as somebody wants it: what the storefront sends and OMS or a checkout takes. Values, known to all."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from infra.ids import derived_id

_CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class OrderLine:
    """``quantity`` pieces of ``sku`` at ``unit_price`` each, less the fraction ``discount``."""

    sku: str
    quantity: int
    unit_price: Decimal
    discount: Decimal = Decimal(0)

    @property
    def net(self) -> Decimal:
        """What the line is worth after its discount, rounded half-even to 0.01 (design §11, "Money")."""
        return (self.quantity * self.unit_price * (1 - self.discount)).quantize(_CENT, ROUND_HALF_EVEN)

    @property
    def gross(self) -> Decimal:
        """What the line is worth before its discount."""
        return (self.quantity * self.unit_price).quantize(_CENT, ROUND_HALF_EVEN)


@dataclass(frozen=True, slots=True)
class OrderSubmission:
    """An order that somebody wants, with the id that it will have (``infra.ids.order_id_of(request_id)``)."""

    order_id: str
    request_id: str
    customer_id: str
    currency: str
    ordered_at: datetime
    lines: tuple[OrderLine, ...]


def checkout_id_of(request_id: str) -> str:
    """The checkout id of a request that comes from a file or a generator, and names none of its own."""
    return str(derived_id("checkout", "request", request_id))


def is_card_number(payment_token: str) -> bool:
    """Whether it looks like the number of a card, which has no place in tidegate (000, "Security")."""
    digits = re.sub("[ ._:/~-]", "", payment_token)
    return digits.isdecimal() and 12 <= len(digits) <= 19


@dataclass(frozen=True, slots=True)
class CheckoutSubmission:
    """An order that somebody wants to pay for, with a reference to the means of payment at the provider."""

    checkout_id: str
    payment_token: str
    order: OrderSubmission

    @property
    def amount(self) -> Decimal:
        """What is to be paid: the sum of what the lines are worth after their discounts."""
        return sum((line.net for line in self.order.lines), Decimal("0.00"))
