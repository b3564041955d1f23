"""The activities of a cart. Source: 001, "Cart management"; design §7."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from temporalio import activity
from temporalio.exceptions import ApplicationError

from services.carts import Cart, Carts
from services.orders import OrderLine
from workflows.activities.contracts import cart as contracts
from workflows.activities.contracts.cart import CartHandOver, IdleCart
from workflows.activities.refusals import refusals


class CartActivities:
    """The end of a cart, each activity one idempotent operation of the carts."""

    def __init__(self, carts: Carts) -> None:
        self._carts = carts

    @activity.defn(name=contracts.HAND_OVER_CART.name)
    async def hand_over_cart(self, cart: CartHandOver) -> str:
        """Ask for the checkout of everything in the cart, once, and give the checkout's id."""
        try:
            lines = tuple(
                OrderLine(line.sku, line.quantity, Decimal(line.unit_price), Decimal(line.discount))
                for line in cart.lines
            )
        except InvalidOperation as error:
            reason = f"cart {cart.cart_id} holds a price that is no amount"
            raise ApplicationError(reason, type="InvalidOrderError", non_retryable=True) from error
        with refusals():
            return await self._carts.hand_over(
                Cart(cart.cart_id, cart.customer_id, cart.currency, lines), cart.payment_token
            )

    @activity.defn(name=contracts.ABANDON_CART.name)
    async def abandon_cart(self, cart: IdleCart) -> str:
        """Give the cart up, unless it was bought, and give what it is now."""
        with refusals():
            idle = Cart(cart.cart_id, cart.customer_id, cart.currency)
            return str(await self._carts.abandon(idle, cart.pieces))
