"""Who gets stock that has become free: strictly first come, first served.

An earlier waiting order has a claim on every piece it needs, whether or not it can be served yet. A later
order is served only from what is left after the claims of all before it. So nobody is overtaken on a sku
that is short, and a sku of which there is plenty holds nobody up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WaitingOrder:
    """An order in the queue, with the pieces that it needs by sku."""

    order_id: str
    parts: Mapping[str, int]


def servable(queue: Iterable[WaitingOrder], on_hand: Mapping[str, int]) -> list[str]:
    """The ids of the orders in ``queue`` (earliest first) that can be served now, all or nothing each.

    ``on_hand`` holds the pieces on the shelf of every sku that is looked at; an order that needs another sku
    is not served, but its claims count. Serving an order takes what it had a claim on and nothing else, so
    serving all that are returned, in this order, leaves nobody else servable.
    """
    left = dict(on_hand)
    served = []
    for order in queue:
        if all(left.get(sku, -1) >= quantity for sku, quantity in order.parts.items()):
            served.append(order.order_id)
        for sku, quantity in order.parts.items():
            if sku in left:
                left[sku] -= quantity
    return served
