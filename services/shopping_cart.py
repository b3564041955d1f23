"""A cart as it is bought, and the ids of its checkout: values, known to the carts and to their workflow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from infra.ids import derived_id, order_id_of
from services.orders import CheckoutSubmission, OrderLine, OrderSubmission


@dataclass(frozen=True, slots=True)
class Cart:
    """What lies in a cart, in the order in which it was put in; ``customer_id`` is a reference, never a name."""

    cart_id: str
    customer_id: str
    currency: str
    lines: tuple[OrderLine, ...] = ()


@dataclass(frozen=True, slots=True)
class CartIds:
    """What the checkout of a cart is called: known before there is one, and always the same."""

    checkout_id: str
    request_id: str
    order_id: str


def checkout_of(cart_id: str) -> CartIds:
    """The ids of the checkout that the cart has, or would have."""
    request_id = f"cart-{cart_id}"
    return CartIds(str(derived_id("checkout", cart_id)), request_id, order_id_of(request_id))


def submission_of(cart: Cart, payment_token: str, at: datetime) -> CheckoutSubmission:
    """What the storefront asks a checkout for, with everything in ``cart``."""
    ids = checkout_of(cart.cart_id)
    order = OrderSubmission(ids.order_id, ids.request_id, cart.customer_id, cart.currency, at, cart.lines)
    return CheckoutSubmission(ids.checkout_id, payment_token, order)
