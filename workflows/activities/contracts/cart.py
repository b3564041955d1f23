"""The activities of a cart, both on the queue of OMS. Source: 001, "Cart management"; design §7, "standard" retries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from workflows.activities.contracts.base import ActivityContract
from workflows.contracts.orders import OrderLineInput
from workflows.policies import STANDARD


@dataclass(frozen=True, slots=True)
class CartHandOver:
    """A cart that its customer buys. ``lines`` are in the order in which they were put in."""

    cart_id: str
    customer_id: str
    currency: str
    payment_token: str
    lines: tuple[OrderLineInput, ...]


@dataclass(frozen=True, slots=True)
class IdleCart:
    """A cart that nobody has touched for too long, and how many pieces lie in it."""

    cart_id: str
    customer_id: str
    currency: str
    pieces: int


HAND_OVER_CART: Final = ActivityContract("HandOverCart", "oms", CartHandOver, str, retry=STANDARD)
"""Gives the checkout's id. Once for each cart; fails, not to be retried, with ``IllegalTransitionError`` where the
cart was abandoned, or was handed over with other lines."""

ABANDON_CART: Final = ActivityContract("AbandonCart", "oms", IdleCart, str, retry=STANDARD)
"""Gives what the cart is now: ``ABANDONED``, or ``CHECKED_OUT`` where a hand-over has come first."""
