"""What lies in a cart, by which rules, and what a cart takes along into a new run.

The rules are those that the hand-over will hold it to (``services.order_rules``): what was taken can be bought.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Final

from services.order_rules import reasons_against
from services.orders import OrderLine
from services.shopping_cart import Cart, submission_of
from workflows.contracts.cart import OPEN, SetItem
from workflows.contracts.orders import OrderLineInput

MOST_LINES: Final = 100
"""How many different skus a cart holds."""

REMEMBERED_UPDATES: Final = 200
"""How many ids of updates a cart remembers, so that one that comes again in a later run changes nothing."""

UPDATES_PER_RUN: Final = 500
"""After how many updates a run ends: far below the server's limit of 2,000 for each run."""


@dataclass(frozen=True, slots=True)
class CartProgress:
    """What the runs before have come to; ``touched_at`` is ISO-8601."""

    lines: tuple[OrderLineInput, ...] = ()
    state: str = OPEN
    touched_at: str | None = None
    updates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CartInput:
    """The one argument of the workflow: a ``CartRequest``, and in a continued run what came before."""

    cart_id: str
    customer_id: str
    currency: str
    progress: CartProgress | None = None
    updates_per_run: int = UPDATES_PER_RUN


class Contents:
    """The lines of a cart, one for each sku, in the order in which they were first put in."""

    def __init__(self, cart: CartInput, lines: Iterable[OrderLineInput]) -> None:
        self._cart = cart
        self._lines = {line.sku: line for line in lines}

    @property
    def lines(self) -> tuple[OrderLineInput, ...]:
        """What lies in the cart."""
        return tuple(self._lines.values())

    @property
    def pieces(self) -> int:
        """How many pieces, of all skus."""
        return sum(line.quantity for line in self._lines.values())

    @property
    def total(self) -> Decimal:
        """What they cost after their discounts."""
        return sum((_priced(line).net for line in self._lines.values()), Decimal("0.00"))

    def put(self, item: SetItem) -> None:
        """The item's quantity, price and discount are the sku's from now on."""
        self._lines[item.sku] = OrderLineInput(item.sku, item.quantity, item.unit_price, item.discount)

    def take_out(self, sku: str) -> None:
        """No ``sku`` from now on."""
        self._lines.pop(sku, None)

    def reason_against(self, item: SetItem, now: datetime) -> str | None:
        """Why ``item`` cannot be put in, in one sentence; None where it can."""
        if item.currency not in (None, self._cart.currency):
            return f"the cart's prices are in {self._cart.currency}, not in {item.currency}"
        if item.sku not in self._lines and len(self._lines) >= MOST_LINES:
            return f"a cart holds at most {MOST_LINES} different items"
        try:
            line = _priced(OrderLineInput(item.sku, item.quantity, item.unit_price, item.discount))
        except InvalidOperation:
            return "unit_price and discount must be decimal numbers"
        cart = Cart(self._cart.cart_id, self._cart.customer_id, self._cart.currency, (line,))
        return "; ".join(reasons_against(submission_of(cart, "", now).order)) or None


def _priced(line: OrderLineInput) -> OrderLine:
    return OrderLine(line.sku, line.quantity, Decimal(line.unit_price), Decimal(line.discount))
