"""What becomes of a cart: each operation one transaction, once for each cart. The first end stands."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from outbox import Outbox
from schemas.events import CartAbandoned, CartCheckedOut, CheckoutLine, CheckoutRequested
from services.carts.states import CartState
from services.carts.tables import cart_lines, carts
from services.carts.views import CartView, read_cart
from services.errors import IllegalTransitionError, InvalidOrderError
from services.order_rules import reasons_against
from services.orders import CheckoutSubmission
from services.publishing import PAID, Publisher, utc_now
from services.shopping_cart import Cart, checkout_of, submission_of

_MOST_PIECES: Final = 2**31 - 1
"""The most pieces that an event can name (Avro ``int``)."""


class Carts:
    """The operations of the carts, on the database behind ``sessions``."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/carts")

    async def hand_over(self, cart: Cart, payment_token: str) -> str:
        """Buy what lies in ``cart``: publishes CartCheckedOut and CheckoutRequested, and gives the checkout's id.

        Both events and the cart's row are one transaction. Asked again for the same lines, it changes nothing,
        whatever the token. Raises :class:`InvalidOrderError` for a cart that nobody can buy,
        :class:`IllegalTransitionError` for one that was abandoned, or that was bought with other lines.
        """
        ids = checkout_of(cart.cart_id)
        async with self._sessions.begin() as session:
            now = utc_now()
            submission = submission_of(cart, payment_token, now)
            if reasons := reasons_against(submission.order):
                raise InvalidOrderError(f"cart {cart.cart_id} cannot be bought: {'; '.join(reasons)}")
            row = _row(cart, CartState.CHECKED_OUT, sum(line.quantity for line in cart.lines))
            row |= {"checkout_id": ids.checkout_id, "order_id": ids.order_id, "closed_at": now}
            if not await _insert(session, row):
                _require_same(await read_cart(session, cart.cart_id), cart)
                return ids.checkout_id
            await session.execute(insert(cart_lines), _line_rows(cart))
            checked_out = CartCheckedOut(
                cart_id=cart.cart_id,
                checkout_id=ids.checkout_id,
                order_id=ids.order_id,
                customer_id=cart.customer_id,
                checked_out_at=now,
            )
            for event in (checked_out, _requested(submission)):
                await self._publisher.aggregate_event(
                    session, event, subject=event.key, version=1, order_id=ids.order_id, flow=PAID
                )
        return ids.checkout_id

    async def abandon(self, cart: Cart, pieces: int) -> CartState:
        """Nobody touched ``cart`` for so long that it is given up, with ``pieces`` in it; publishes CartAbandoned.

        Gives what the cart is now: a cart that was bought stays so.
        """
        async with self._sessions.begin() as session:
            now = utc_now()
            if not await _insert(session, {**_row(cart, CartState.ABANDONED, pieces), "closed_at": now}):
                standing = await read_cart(session, cart.cart_id)
                return standing.state if standing else CartState.ABANDONED
            abandoned = CartAbandoned(
                cart_id=cart.cart_id,
                customer_id=cart.customer_id,
                items=min(pieces, _MOST_PIECES),
                abandoned_at=now,
            )
            await self._publisher.aggregate_event(session, abandoned, subject=cart.cart_id, version=1)
        return CartState.ABANDONED

    async def cart(self, cart_id: str) -> CartView | None:
        """What became of a cart; ``None`` while its workflow holds it, or where it never was."""
        async with self._sessions() as session:
            return await read_cart(session, cart_id)


def _requested(submission: CheckoutSubmission) -> CheckoutRequested:
    order = submission.order
    return CheckoutRequested(
        checkout_id=submission.checkout_id,
        order_id=order.order_id,
        request_id=order.request_id,
        customer_id=order.customer_id,
        currency=order.currency,
        payment_token=submission.payment_token,
        requested_at=order.ordered_at,
        lines=tuple(
            CheckoutLine(
                sku=line.sku, quantity=line.quantity, unit_price=line.unit_price, discount=line.discount
            )
            for line in order.lines
        ),
    )


async def _insert(session: AsyncSession, row: dict[str, Any]) -> bool:
    """Make the cart's row; False where another transaction made it first (having waited for it)."""
    made = upsert(carts).values(**row).on_conflict_do_nothing().returning(carts.c.cart_id)
    return (await session.execute(made)).scalar_one_or_none() is not None


def _row(cart: Cart, state: CartState, pieces: int) -> dict[str, Any]:
    return {
        "cart_id": cart.cart_id,
        "customer_id": cart.customer_id,
        "currency": cart.currency,
        "state": state,
        "version": 1,
        "pieces": pieces,
    }


def _line_rows(cart: Cart) -> list[dict[str, Any]]:
    return [
        {
            "cart_id": cart.cart_id,
            "line": number,
            "sku": line.sku,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "discount": line.discount,
        }
        for number, line in enumerate(cart.lines)
    ]


def _require_same(standing: CartView | None, cart: Cart) -> None:
    if standing is None or standing.state is CartState.ABANDONED:
        raise IllegalTransitionError(f"cart {cart.cart_id} was abandoned: put the goods into a new one")
    if (standing.customer_id, standing.currency, standing.lines) != (
        cart.customer_id,
        cart.currency,
        cart.lines,
    ):
        raise IllegalTransitionError(
            f"cart {cart.cart_id} was bought before with other content, as checkout {standing.checkout_id}"
        )
