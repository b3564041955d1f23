"""The carts on a real PostgreSQL: handed over or abandoned once, whichever comes first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
import pytest_asyncio
from sqlalchemy import text

from infra.ids import derived_id, order_id_of
from schemas.events import CartAbandoned, CartCheckedOut, CheckoutRequested
from services.carts import Cart, Carts
from services.errors import IllegalTransitionError, InvalidOrderError
from services.orders import OrderLine
from tests.services_support import SERVICE_ROOMS, Database, migrated

CART = Cart(
    "c-1",
    "customer-1",
    "EUR",
    (OrderLine("bolt", 2, Decimal("1.50"), Decimal("0.1")), OrderLine("nut", 1, Decimal("0.20"))),
)


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the services' tables."""
    async with migrated(postgres_dsn, SERVICE_ROOMS) as opened:
        yield opened


@pytest.fixture
def carts(database: Database) -> Carts:
    """The carts."""
    return Carts(database.sessions, database.outbox)


async def test_a_cart_is_handed_over_once(carts: Carts, database: Database) -> None:
    """Asked eight times at once, also with another token: one row, one CartCheckedOut, one CheckoutRequested."""
    checkout_id = str(derived_id("checkout", "c-1"))
    given = await asyncio.gather(*(carts.hand_over(CART, f"token-{number}") for number in range(8)))
    assert set(given) == {checkout_id}
    checked_out, requested = await database.published()
    order_id = order_id_of("cart-c-1")
    assert isinstance(checked_out.event, CartCheckedOut)
    assert (checked_out.subject, checked_out.sequence, checked_out.source) == ("c-1", 1, "/services/carts")
    assert (checked_out.event.checkout_id, checked_out.event.order_id) == (checkout_id, order_id)
    assert isinstance(requested.event, CheckoutRequested)
    assert (requested.subject, requested.sequence) == (checkout_id, 1)
    assert (requested.event.request_id, requested.event.order_id) == ("cart-c-1", order_id)
    assert [(line.sku, line.quantity, line.unit_price, line.discount) for line in requested.event.lines] == [
        ("bolt", 2, Decimal("1.50"), Decimal("0.1000")),
        ("nut", 1, Decimal("0.20"), Decimal("0.0000")),
    ]
    assert all(one.extensions == {"flow": "paid"} for one in (checked_out, requested))
    assert all(one.correlation_id == order_id for one in (checked_out, requested))
    found = await carts.cart("c-1")
    assert found is not None
    assert (found.state, found.pieces, found.lines) == ("CHECKED_OUT", 3, CART.lines)


async def test_a_cart_that_was_bought_keeps_its_content(carts: Carts, database: Database) -> None:
    """Other lines, another customer or currency under the same id are refused; nothing is published."""
    await carts.hand_over(CART, "token")
    for other in (
        replace(CART, lines=CART.lines[:1]),
        replace(CART, customer_id="customer-2"),
        replace(CART, currency="USD"),
    ):
        with pytest.raises(IllegalTransitionError, match="with other content"):
            await carts.hand_over(other, "token")
    assert len(await database.published()) == 2


async def test_what_nobody_can_buy_is_not_handed_over(carts: Carts, database: Database) -> None:
    """An empty cart, a currency that is none: refused, and nothing is left behind."""
    for bad in (replace(CART, lines=()), replace(CART, currency="euro")):
        with pytest.raises(InvalidOrderError, match="c-1"):
            await carts.hand_over(bad, "token")
    assert await database.published() == []
    assert await carts.cart("c-1") is None


async def test_an_idle_cart_is_abandoned_once(carts: Carts, database: Database) -> None:
    """One CartAbandoned with the pieces in it, also for more than an event can count; then nobody can buy it."""
    given = await asyncio.gather(*(carts.abandon(CART, 2**40) for _ in range(4)))
    assert set(given) == {"ABANDONED"}
    (abandoned,) = await database.published()
    assert isinstance(abandoned.event, CartAbandoned)
    assert (abandoned.event.items, abandoned.event.customer_id) == (2**31 - 1, "customer-1")
    with pytest.raises(IllegalTransitionError, match="was abandoned"):
        await carts.hand_over(CART, "token")


async def test_a_cart_that_was_bought_is_not_abandoned(carts: Carts, database: Database) -> None:
    """A hand-over whose answer was lost has happened: abandoning says so and changes nothing."""
    await carts.hand_over(CART, "token")
    assert await carts.abandon(CART, 3) == "CHECKED_OUT"
    assert await database.names() == ["CartCheckedOut", "CheckoutRequested"]


async def test_bought_and_abandoned_at_once_is_one_of_them(carts: Carts, database: Database) -> None:
    """Whoever comes first wins; the events are those of one end."""
    for number in range(10):
        cart = replace(CART, cart_id=f"race-{number}")
        results = await asyncio.gather(
            carts.hand_over(cart, "token"), carts.abandon(cart, 3), return_exceptions=True
        )
        names = await database.names(subject=cart.cart_id)
        assert names in (["CartCheckedOut"], ["CartAbandoned"])
        refused = isinstance(results[0], IllegalTransitionError)
        assert refused == (names == ["CartAbandoned"])
        assert results[1] == ("ABANDONED" if refused else "CHECKED_OUT")


async def test_a_hand_over_is_one_transaction(carts: Carts, database: Database) -> None:
    """Where an event cannot be written there is no row either, and the next attempt does all of it."""
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE carts.cart_lines RENAME TO hidden"))
    with pytest.raises(Exception, match="cart_lines"):
        await carts.hand_over(CART, "token")
    async with database.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE carts.hidden RENAME TO cart_lines"))
    assert await carts.cart("c-1") is None
    assert await database.published() == []
    await carts.hand_over(CART, "token")
    assert len(await database.published()) == 2
