"""What was taken for orders beside what they owe: pure functions from evidence to sentences.

An order that was delivered is paid for once and in full; one that failed or was cancelled costs nothing; nobody
gets back more than was taken. The payments' own tables are compared with the provider's books where these can be
read, because a second capture there is one that our tables would not know of.

Source: 002, "Payment-Specific Retries" (no duplicate charges); design §9, *duplicate effect*.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class OrderMoney:
    """A paid order and its payment, as OMS and payments hold them. ``state`` is None where OMS has no such order."""

    order_id: str
    state: str | None
    shipped: bool
    owed: Decimal
    captured: Decimal
    refunded: Decimal
    refunds: int
    """How many refunds gave something back, each under an id of its own."""


@dataclass(frozen=True, slots=True)
class ProviderBooks:
    """What the provider has done for an order, over all authorisations that it holds for it."""

    order_id: str
    captures: int
    captured: Decimal
    refunds: int
    refunded: Decimal


def taken_twice(orders: Sequence[OrderMoney], books: Sequence[ProviderBooks]) -> Iterator[str]:
    """Effects that the provider has had more often than once: captures, and refunds under one id."""
    known = {order.order_id: order for order in orders}
    for book in books:
        order = known.get(book.order_id)
        if book.captures > 1 or (order is not None and book.captured > order.captured):
            ours = order.captured if order else 0
            yield (
                f"order {book.order_id}: the provider took {book.captured} in {book.captures} captures, "
                f"of which {ours} is on record"
            )
        if order is not None and book.refunds > order.refunds:
            yield (
                f"order {book.order_id}: the provider gave money back {book.refunds} times for "
                f"{order.refunds} refunds on record"
            )


def not_as_owed(orders: Sequence[OrderMoney], books: Sequence[ProviderBooks]) -> Iterator[str]:
    """Orders whose money is not what it must be where they are."""
    for book in books:
        if book.refunded > book.captured:
            yield f"order {book.order_id}: the provider gave back {book.refunded} of {book.captured} captured"
    for order in orders:
        kept = order.captured - order.refunded
        if order.refunded > order.captured:
            yield f"order {order.order_id}: {order.refunded} refunded, above {order.captured} captured"
        elif order.state in ("FAILED", "CANCELLED", None) and kept > 0:
            where = order.state or "unknown to OMS"
            yield f"order {order.order_id} is {where}, and {kept} of what was captured is not refunded"
        elif order.captured and order.captured != order.owed and order.state is not None:
            yield f"order {order.order_id} owes {order.owed}, and {order.captured} was captured"
        if order.shipped and order.owed > 0 and not order.captured:
            yield f"order {order.order_id} is {order.state} and was not paid for: {order.owed} owed"
