"""What the returns context is told by others, and what it answers: values without a database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from services.orders import OrderLine

RETURN_PERIOD: Final = timedelta(days=30)
"""How long after its shipping an order may be sent back; what counts is when the customer asked."""


class Reason(StrEnum):
    """Why a customer sends something back, for programs."""

    DAMAGED = "DAMAGED"
    WRONG_ITEM = "WRONG_ITEM"
    NOT_WANTED = "NOT_WANTED"
    OTHER = "OTHER"


class Disposition(StrEnum):
    """What becomes of a piece that came back. ``REJECT``: it goes to the customer again and is not refunded."""

    RESTOCK = "restock"
    SCRAP = "scrap"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Pieces:
    """``quantity`` pieces of ``sku``."""

    sku: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Found:
    """``quantity`` pieces of ``sku`` that the warehouse has found in a parcel, and what becomes of them."""

    sku: str
    quantity: int
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class SoldOrder:
    """The order that something comes back from, as OMS holds it. ``shipped_at`` is None before it has shipped.

    ``is_shipped``: it has left, and was neither cancelled nor failed. ``flow`` is "paid" where the customer's
    money was taken through tidegate, and "direct" where there is nothing to refund.
    """

    order_id: str
    flow: str
    currency: str
    is_shipped: bool
    shipped_at: datetime | None
    lines: tuple[OrderLine, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a return is within the policy, and in one sentence why not."""

    accepted: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an inspection comes to: the amount owed, the pieces taken back, and those of them fit for the shelf."""

    amount: Decimal
    accepted: int
    restock: tuple[Pieces, ...]
