"""What can be said about an order's wish for stock before looking at how much there is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.errors import InvalidOrderError
from services.ims.item import LARGEST_QUANTITY

_MOST_PARTS = 5_000  # the most items that one event can hold (`schemas.limits`)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an order can never be served: ``code`` for programs, ``reason`` for people."""

    code: str
    reason: str
    skus: tuple[str, ...]


def merged(order_id: str, lines: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Pieces by sku; several lines of one sku are one wish.

    Raises :class:`InvalidOrderError` for no lines, or a quantity below 1.
    """
    wanted: dict[str, int] = defaultdict(int)
    for sku, quantity in lines:
        if quantity < 1:
            raise InvalidOrderError(f"order {order_id}: quantity of {sku} must be 1 or more, is {quantity}")
        wanted[sku] += quantity
    if not wanted:
        raise InvalidOrderError(f"order {order_id} has no lines")
    return dict(wanted)


def refusal(
    wanted: Mapping[str, int], parts: Mapping[str, int], discontinued: Mapping[str, bool]
) -> Refusal | None:
    """Why the order can never be served, or ``None``.

    ``discontinued`` names every sku that exists. Source: design §7, "Shortage": unknown and discontinued
    items fail for good; a shortage waits.
    """
    if unknown := tuple(sorted(sku for sku in wanted if sku not in discontinued)):
        return Refusal("UNKNOWN_SKU", f"no such item: {', '.join(unknown)}", unknown)
    if gone := tuple(sorted(sku for sku in {*wanted, *parts} if discontinued[sku])):
        return Refusal("DISCONTINUED", f"no longer kept: {', '.join(gone)}", gone)
    if len(parts) > _MOST_PARTS:
        return Refusal("TOO_MANY_PARTS", f"made of more than {_MOST_PARTS} different items", ())
    if large := tuple(sorted(sku for sku, quantity in parts.items() if quantity > LARGEST_QUANTITY)):
        return Refusal(
            "QUANTITY_TOO_LARGE", f"more than {LARGEST_QUANTITY} pieces of {', '.join(large)}", large
        )
    return None
