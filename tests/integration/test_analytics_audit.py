"""The analytics tables beside OMS's own: equal to the cent, and every difference is named."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest_asyncio

import consumers.analytics
import services.payments
from consumers.analytics.sink import FactsSink, ReceivedEvent
from consumers.runtime.record import ConsumedRecord
from infra.ids import order_id_of
from schemas.envelope import Envelope
from schemas.events import CheckoutLine, CheckoutRequested, OrderSubmitted
from schemas.events import OrderLine as SubmittedLine
from services.oms import Oms, OrderLine, OrderSubmission
from services.payments import Payments
from tests.analytics_support import STOREFRONT, received
from tests.services_support import SERVICE_ROOMS, Database, migrated
from tidegate.audit.analytics import compare

ENDS = ("shipped", "shipped", "shipped", "failed", "cancelled", "rejected", "reserved", "delivered")


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    rooms = (*SERVICE_ROOMS, services.payments.MIGRATIONS, consumers.analytics.MIGRATIONS)
    async with migrated(postgres_dsn, tuple(dict.fromkeys(rooms))) as database:
        yield database


@pytest_asyncio.fixture(loop_scope="session")
async def pool(postgres_dsn: str, database: Database) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
    async with asyncpg.create_pool(postgres_dsn, min_size=1, max_size=4) as pool:
        yield pool


def submission(number: int, end: str, chance: random.Random) -> OrderSubmission:
    """Prices and discounts that leave half cents to round, in two currencies."""
    lines = tuple(
        OrderLine(
            f"S-{position}",
            -1 if end == "rejected" else chance.randint(1, 40),
            Decimal(chance.randint(1, 9999)).scaleb(-2),
            chance.choice(
                [Decimal("0"), Decimal("0.5"), Decimal("0.25"), Decimal("0.125"), Decimal("0.3333")]
            ),
        )
        for position in range(chance.randint(1, 5))
    )
    return OrderSubmission(
        order_id=order_id_of(f"r-{number}"),
        request_id=f"r-{number}",
        customer_id=f"c-{number % 7}",
        currency=chance.choice(["EUR", "USD"]),
        ordered_at=datetime(2026, 5, 4, 12, number % 60, tzinfo=UTC),
        lines=lines,
    )


class AnyMoney:
    """A provider that agrees to everything."""

    async def authorize(self, *_: object, **__: object) -> str:
        """The id of an authorisation."""
        return "authorization"

    async def capture(self, *_: object, **__: object) -> None:
        """Taken."""

    async def void(self, *_: object, **__: object) -> None:
        """Freed."""

    async def refund(self, *_: object, **__: object) -> None:
        """Given back."""


async def lives(oms: Oms, payments: Payments, order: OrderSubmission, end: str, flow: str) -> None:
    """Take an order through OMS, and a paid one through its payment, to its end."""
    if flow == "direct" and await oms.validate_order(order):
        return
    if end == "rejected":
        return
    order_id = await oms.create_order(order, flow)
    if flow == "paid":
        net = sum((line.net for line in order.lines), Decimal(0))
        await payments.authorize(order_id, net, order.currency, "tok")
        await payments.capture(order_id)
        if end in ("failed", "cancelled"):
            await payments.refund(order_id, f"refund-{order_id}-1", min(net, Decimal("0.01")))
            await payments.refund(order_id, f"refund-{order_id}-2")
    await oms.emit_order_event(order_id, "OrderCreated", uuid4())
    await oms.mark_order_reserved(order_id)
    match end:
        case "shipped" | "delivered":
            await oms.mark_order_shipped(order_id, f"s-{order_id}")
            if end == "delivered":
                await oms.mark_order_delivered(order_id)
        case "failed":
            await oms.mark_order_failed(order_id, "PICK_TIMEOUT", "nobody picked it")
        case "cancelled":
            await oms.mark_order_cancelled(order_id, "asked for")


def checked_out(order: OrderSubmission) -> ReceivedEvent:
    """The storefront's event of a checkout, which has lines where OrderSubmitted has them."""
    event = CheckoutRequested(
        checkout_id=f"checkout-of-{order.order_id}",
        order_id=order.order_id,
        request_id=order.request_id,
        customer_id=order.customer_id,
        currency=order.currency,
        payment_token="tok",
        requested_at=order.ordered_at,
        lines=tuple(
            CheckoutLine(sku=one.sku, quantity=one.quantity, unit_price=one.unit_price, discount=one.discount)
            for one in order.lines
        ),
    )
    return received(event, source=STOREFRONT, sequence=1, time=datetime(2026, 5, 4, 13, tzinfo=UTC))


def submitted(order: OrderSubmission) -> ReceivedEvent:
    """The storefront's event of a submission."""
    event = OrderSubmitted(
        order_id=order.order_id,
        request_id=order.request_id,
        customer_id=order.customer_id,
        currency=order.currency,
        ordered_at=order.ordered_at,
        lines=tuple(
            SubmittedLine(
                sku=one.sku, quantity=one.quantity, unit_price=one.unit_price, discount=one.discount
            )
            for one in order.lines
        ),
    )
    return received(event, source=STOREFRONT, sequence=1, time=datetime(2026, 5, 4, 13, tzinfo=UTC))


async def published(database: Database) -> list[ReceivedEvent]:
    """What OMS put into its outbox, as a consumer gets it."""
    return [
        ReceivedEvent(
            one.event,
            Envelope(
                id=UUID(one.event_id),
                type=type(one.event).TYPE,
                source=one.source,
                subject=one.subject,
                time=datetime.now(UTC),
                sequence=one.sequence,
            ),
            ConsumedRecord("oms.orders", 0, 0, one.event.key.encode(), b"", (), 0),
        )
        for one in (
            *await database.published(source="/services/oms"),
            *await database.published(source="/services/payments"),
        )
    ]


async def run_some(database: Database, pool: asyncpg.Pool[asyncpg.Record], orders: int) -> None:
    """Orders through OMS, their events shuffled and repeated into the sink."""
    chance = random.Random(21)
    oms = Oms(database.sessions, database.outbox)
    payments = Payments(database.sessions, database.outbox, AnyMoney())  # type: ignore[arg-type]
    told = []
    for number in range(orders):
        end = ENDS[number % len(ENDS)]
        order = submission(number, end, chance)
        flow = "paid" if number % 3 == 0 else "direct"
        told.append(checked_out(order) if flow == "paid" else submitted(order))
        await lives(oms, payments, order, end, flow)
    told += await published(database)
    arrived = told + chance.choices(told, k=len(told) // 3)
    chance.shuffle(arrived)
    sink = FactsSink(pool)
    for first in range(0, len(arrived), 17):
        await sink.write(arrived[first : first + 17])


async def test_the_tables_equal_sql_over_oms_to_the_cent(
    database: Database, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """Both flows, every way an order can end, duplicates and reordering on the way: no difference of any kind."""
    await run_some(database, pool, 64)
    async with pool.acquire() as connection:
        assert [str(difference) for difference in await compare(connection)] == []
        assert await connection.fetchval("SELECT sum(orders) FROM analytics.revenue_by_day") == 32
        assert await connection.fetchval("SELECT count(*) FROM analytics.payments WHERE amount < 0") > 0


CHANGES: tuple[tuple[str, set[str]], ...] = (
    ("UPDATE analytics.order_facts SET net = net + 0.01 WHERE state = 'SHIPPED'", {"net"}),
    ("UPDATE analytics.revenue_by_day SET net = net - 0.01", {"revenue"}),
    ("UPDATE analytics.revenue_by_day SET orders = orders + 1", {"revenue"}),
    (
        "UPDATE analytics.order_facts SET shipped_at = shipped_at + interval '1 microsecond'"
        " WHERE state = 'SHIPPED'",
        {"shipped_at"},
    ),
    ("DELETE FROM analytics.order_facts WHERE state = 'REJECTED'", {"rejected"}),
    ("UPDATE analytics.payments SET amount = amount + 0.01 WHERE amount > 0", {"captured"}),
    ("DELETE FROM analytics.payments WHERE amount < 0", {"refunded"}),
    ("DELETE FROM analytics.payments", {"captured", "refunded"}),
    ("UPDATE analytics.order_facts SET state = 'RESERVED' WHERE state = 'FAILED'", {"state"}),
    ("DELETE FROM analytics.revenue_by_day", {"revenue"}),
    (
        "INSERT INTO analytics.order_facts (order_id, state) VALUES ('nobody', 'SHIPPED')",
        {"order", "state"},
    ),
)


async def test_a_difference_is_found_and_named(
    database: Database, pool: asyncpg.Pool[asyncpg.Record]
) -> None:
    """A cent, a microsecond, a row too many or too few."""
    await run_some(database, pool, 16)
    async with pool.acquire() as connection:
        for change, names in CHANGES:
            transaction = connection.transaction(isolation="repeatable_read")
            await transaction.start()
            await connection.execute(change)
            found = {difference.name for difference in await compare(connection)}
            await transaction.rollback()
            assert found == names, change


async def test_a_missing_order_is_named(database: Database, pool: asyncpg.Pool[asyncpg.Record]) -> None:
    """An order that analytics never heard of differs in all that OMS knows of it."""
    await run_some(database, pool, 16)
    order_id = await pool.fetchval(
        "DELETE FROM analytics.order_facts WHERE state = 'SHIPPED' RETURNING order_id"
    )
    async with pool.acquire() as connection:
        found = await compare(connection)
    assert (order_id, "order") in {(one.subject, one.name) for one in found}
