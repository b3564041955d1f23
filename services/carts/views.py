"""What is known of carts that have ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from services.carts.states import CartState
from services.carts.tables import cart_lines, carts
from services.orders import OrderLine


@dataclass(frozen=True, slots=True)
class CartView:
    """A cart that was bought (``checkout_id``, ``order_id``, ``lines``) or given up."""

    cart_id: str
    customer_id: str
    currency: str
    state: CartState
    version: int
    pieces: int
    checkout_id: str | None
    order_id: str | None
    closed_at: datetime
    lines: tuple[OrderLine, ...]


async def read_cart(session: AsyncSession, cart_id: str) -> CartView | None:
    """The cart, or ``None`` where it has not ended or never was."""
    found = await session.execute(select(carts).where(carts.c.cart_id == cart_id))
    row = found.mappings().one_or_none()
    if row is None:
        return None
    values: dict[str, Any] = {**row, "state": CartState(row["state"])}
    return CartView(**values, lines=await read_lines(session, cart_id))


async def read_lines(session: AsyncSession, cart_id: str) -> tuple[OrderLine, ...]:
    """The lines of a cart that was bought, in the order in which they were put in."""
    rows = await session.execute(
        select(cart_lines).where(cart_lines.c.cart_id == cart_id).order_by(cart_lines.c.line)
    )
    return tuple(
        OrderLine(row["sku"], row["quantity"], row["unit_price"], row["discount"]) for row in rows.mappings()
    )
