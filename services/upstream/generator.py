"""Orders and stock for demos and tests: the same seed gives the same, on every machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from random import Random

from infra.ids import order_id_of
from services.goods import StockRow
from services.orders import CheckoutSubmission, OrderLine, OrderSubmission, checkout_id_of

_PLAIN = tuple(f"PART-{number:02d}" for number in range(1, 17))
_KITS = {
    "KIT-CHAIR": (("PART-01", 4), ("PART-02", 1), ("PART-03", 8)),
    "KIT-TABLE": (("PART-04", 4), ("PART-05", 1), ("PART-03", 16)),
    "KIT-OFFICE": (("KIT-CHAIR", 1), ("KIT-TABLE", 1), ("PART-06", 2)),
}

SKUS: tuple[str, ...] = (*_PLAIN, *_KITS)
"""What the generator sells: single items, two kits, and a kit of kits."""

_CURRENCIES = ("EUR", "EUR", "EUR", "USD", "GBP")
_DISCOUNTS = ("0", "0", "0", "0.05", "0.125", "0.15", "0.3333")


def generate_orders(
    n: int,
    seed: int,
    skus: Sequence[str] = SKUS,
    *,
    start: int = 0,
    prefix: str = "generated",
    ordered_at: datetime | None = None,
) -> list[OrderSubmission]:
    """``n`` orders of ``skus``, numbered from ``start``.

    Order number ``k`` of a seed is always the same (its ``request_id`` is ``<prefix>-<seed>-<k>``), however
    many are made; only ``ordered_at``, now where none is given, is from outside.
    """
    moment = ordered_at or datetime.now(UTC)
    return [_order(number, seed, skus, prefix, moment) for number in range(start, start + n)]


def generate_checkouts(
    n: int,
    seed: int,
    skus: Sequence[str] = SKUS,
    *,
    start: int = 0,
    prefix: str = "generated-paid",
    ordered_at: datetime | None = None,
) -> list[CheckoutSubmission]:
    """``n`` orders as :func:`generate_orders` makes them, each to be paid for with a card of the local provider."""
    orders = generate_orders(n, seed, skus, start=start, prefix=prefix, ordered_at=ordered_at)
    return [
        CheckoutSubmission(checkout_id_of(order.request_id), f"tok_{order.customer_id}", order)
        for order in orders
    ]


def generate_stock(orders: Sequence[OrderSubmission] = (), *, spare: int = 100) -> tuple[StockRow, ...]:
    """Stock of everything that the generator sells, enough for ``orders`` and ``spare`` pieces more of each.

    Kits stand in the stock with their components and without a piece of their own: all are made from parts.
    """
    wanted: Counter[str] = Counter()
    for order in orders:
        for line in order.lines:
            _add_parts(wanted, line.sku, line.quantity)
    others = sorted(wanted.keys() - set(_PLAIN))
    return (
        *(StockRow(sku, wanted[sku] + spare, spare // 2) for sku in (*_PLAIN, *others)),
        *(StockRow(sku, 0, 0, components) for sku, components in _KITS.items()),
    )


def price_of(sku: str) -> Decimal:
    """The price of ``sku`` in every currency; the same for every seed."""
    return Decimal(Random(f"price/{sku}").randint(99, 24_999)).scaleb(-2)  # noqa: S311 - not a secret


def _order(number: int, seed: int, skus: Sequence[str], prefix: str, moment: datetime) -> OrderSubmission:
    random = Random(f"order/{seed}/{number}")  # noqa: S311 - repeatable, not secret
    request_id = f"{prefix}-{seed}-{number}"
    chosen = random.sample(list(skus), k=min(len(skus), random.randint(1, 4)))
    return OrderSubmission(
        order_id=order_id_of(request_id),
        request_id=request_id,
        customer_id=f"customer-{random.randint(1, 500)}",
        currency=random.choice(_CURRENCIES),
        ordered_at=moment,
        lines=tuple(
            OrderLine(sku, random.randint(1, 5), price_of(sku), Decimal(random.choice(_DISCOUNTS)))
            for sku in chosen
        ),
    )


def _add_parts(wanted: Counter[str], sku: str, quantity: int) -> None:
    if sku not in _KITS:
        wanted[sku] += quantity
    for component, per_kit in _KITS.get(sku, ()):
        _add_parts(wanted, component, quantity * per_kit)
