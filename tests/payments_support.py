"""Payments on a database of their own, and the local provider over HTTP with books and faults of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

import outbox
from infra.migrations import MigrationRoom
from services import payments
from services.payments import Payments, PaymentView
from services.payments.http_provider import HttpPaymentProvider
from services.payments.provider import PaymentProvider
from services.payments.rows import payment_id_of
from services.upstream import provider
from services.upstream.provider import Books, BooksView, Faults, ProviderServer
from tests.services_support import Database, migrated

PAYMENT_ROOMS = (outbox.MIGRATIONS, payments.MIGRATIONS, provider.MIGRATIONS)
"""Payments and, for tests only, the provider's books in the same database."""

SOURCE = "/services/payments"

OWED = Decimal("40.00")


@dataclass(frozen=True, slots=True)
class Desk:
    """Payments, the provider that they ask, and the books of both."""

    database: Database
    payments: Payments
    server: ProviderServer
    adapter: HttpPaymentProvider
    client: httpx.AsyncClient

    async def authorized(self, order_id: str, card: str = "tok_visa", amount: Decimal = OWED) -> None:
        """Have the payment of an order authorised."""
        await self.payments.authorize(order_id, amount, "EUR", card)

    async def captured(self, order_id: str, amount: Decimal = OWED) -> None:
        """Have the payment of an order taken."""
        await self.authorized(order_id, amount=amount)
        await self.payments.capture(order_id)

    async def payment(self, order_id: str) -> PaymentView:
        """The order's payment, which there is."""
        found = await self.payments.payment(order_id)
        assert found is not None
        return found

    async def books(self, order_id: str) -> list[BooksView]:
        """What the provider's books say of the order, asked over HTTP."""
        answer = await self.client.get("/books", params={"reference": payment_id_of(order_id)})
        return [_view(row) for row in answer.json()["authorizations"]]

    async def names(self, order_id: str) -> list[str]:
        """The events that were published about the order."""
        return await self.database.names(source=SOURCE, subject=order_id)

    def next(self, **script: str) -> None:
        """What goes wrong next: ``capture="lost error"``."""
        self.server.misbehave(Faults(script={name: tuple(steps.split()) for name, steps in script.items()}))

    async def agree(self, order_id: str) -> None:
        """Assert that our books and the provider's say the same, and that nobody paid twice or too little."""
        ours = await self.payments.payment(order_id)
        theirs = await self.books(order_id)
        assert len(theirs) <= 1, f"more than one authorisation: {theirs}"
        if not theirs:
            assert ours is None or (ours.state in {"VOIDED", "FAILED"} and ours.captured == 0)
            return
        assert ours is not None
        (books,) = theirs
        assert (ours.captured, ours.refunded) == (books.captured, books.refunded), (ours, books)
        assert books.state == _STATES[ours.state], (ours, books)
        assert ours.captured in {Decimal(0), ours.amount}
        assert ours.refunded <= ours.captured


_STATES = {
    "NEW": "authorized",
    "AUTHORIZED": "authorized",
    "CAPTURED": "captured",
    "PARTIALLY_REFUNDED": "captured",
    "REFUNDED": "captured",
    "VOIDED": "voided",
}


def _view(row: dict[str, Any]) -> BooksView:
    return BooksView(**{**row, **{name: Decimal(row[name]) for name in ("amount", "captured", "refunded")}})


@asynccontextmanager
async def open_desk(
    dsn: str,
    *,
    guard: Sequence[Callable[[PaymentProvider], PaymentProvider]] = (),
    timeout: float = 10.0,
    rooms: Sequence[MigrationRoom] = (),
) -> AsyncIterator[Desk]:
    """A desk on the empty database at ``dsn``; ``guard`` are wrappers around the adapter.

    The tables of ``rooms`` stand beside its own.
    """
    engine = create_async_engine(make_url(dsn).set(drivername="postgresql+asyncpg"), pool_size=8)
    async with migrated(dsn, tuple(dict.fromkeys((*PAYMENT_ROOMS, *rooms)))) as database:
        try:
            books = Books(async_sessionmaker(engine, class_=AsyncSession))
            async with (
                ProviderServer(books) as server,
                httpx.AsyncClient(base_url=server.url, timeout=timeout) as client,
            ):
                adapter = HttpPaymentProvider(client)
                asked: PaymentProvider = adapter
                for wrapper in guard:
                    asked = wrapper(asked)
                payments = Payments(database.sessions, database.outbox, asked)
                yield Desk(database, payments, server, adapter, client)
        finally:
            await engine.dispose()
