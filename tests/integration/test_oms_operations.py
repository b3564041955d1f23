"""OMS on a real PostgreSQL: states, repeats, refusals, and what is published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.exceptions import ApplicationError

from infra.ids import derived_id
from schemas.events import OrderFailed, OrderRejected
from services.errors import IllegalTransitionError, InvalidOrderError, ServiceError, UnknownOrderError
from services.oms import CancellationStatus, Oms, OrderLine, RecordedNotifications
from tests.services_support import SERVICE_ROOMS, Database, migrated, submission
from workflows.activities.contracts.orders import OrderReference
from workflows.activities.order import OrderActivities


@pytest_asyncio.fixture(loop_scope="session")
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A database with the services' tables."""
    async with migrated(postgres_dsn, SERVICE_ROOMS) as opened:
        yield opened


@pytest.fixture
def oms(database: Database) -> Oms:
    """OMS."""
    return Oms(database.sessions, database.outbox)


async def test_an_order_goes_from_created_to_delivered(oms: Oms, database: Database) -> None:
    """Each step has its effect once and is published once, with the next sequence and the flow."""
    wanted = submission()
    order_id = wanted.order_id
    emitted = derived_id("emitted", order_id)
    for _ in range(2):
        assert await oms.validate_order(wanted) == ()
        assert await oms.create_order(wanted, "paid") == order_id
    assert await oms.emit_order_event(order_id, "OrderCreated", emitted)
    assert not await oms.emit_order_event(order_id, "OrderCreated", emitted)
    for _ in range(2):
        await oms.mark_order_reserved(order_id)
        await oms.mark_order_confirmed(order_id)
        await oms.mark_order_shipped(order_id, "s-1")
        await oms.mark_order_delivered(order_id, "s-1")
    assert not await oms.emit_order_event(order_id, "OrderCreated", emitted)
    await oms.mark_order_reserved(order_id)

    published = await database.published()
    assert [one.name for one in published] == [
        "OrderCreated",
        "OrderReserved",
        "OrderConfirmed",
        "OrderShipped",
        "OrderDelivered",
    ]
    assert [one.sequence for one in published] == [1, 2, 3, 4, 5]
    assert published[0].event_id == str(emitted)
    for one in published:
        assert (one.source, one.subject, one.correlation_id) == ("/services/oms", order_id, order_id)
        assert one.extensions == {"flow": "paid"}
    order = await oms.order(order_id)
    assert order is not None
    assert (order.state, order.version, order.shipment_id, order.lines) == (
        "DELIVERED",
        5,
        "s-1",
        wanted.lines,
    )
    assert (await oms.counts())["DELIVERED"] == 1


async def test_a_paid_order_is_confirmed_before_it_is_shipped_whoever_comes_first(
    oms: Oms, database: Database
) -> None:
    """Its fulfillment may be ahead of its own workflow: the confirmation is recorded and published first, once."""
    order_id = await oms.create_order(submission(), "paid")
    await oms.mark_order_reserved(order_id)
    await oms.mark_order_shipped(order_id, "s-1")
    await oms.mark_order_confirmed(order_id)
    published = await database.published(subject=order_id)
    assert [one.name for one in published] == ["OrderReserved", "OrderConfirmed", "OrderShipped"]
    assert [one.sequence for one in published] == [1, 2, 3]
    order = await oms.order(order_id)
    assert order is not None
    assert order.confirmed_at is not None
    assert order.shipped_at is not None
    assert order.confirmed_at <= order.shipped_at
    assert (order.state, order.version) == ("SHIPPED", 3)


async def test_a_direct_order_is_shipped_without_a_confirmation(oms: Oms, database: Database) -> None:
    """Nobody pays for it here."""
    order_id = await oms.create_order(submission())
    await oms.mark_order_reserved(order_id)
    await oms.mark_order_shipped(order_id, "s-1")
    assert await database.names(subject=order_id) == ["OrderReserved", "OrderShipped"]


async def test_a_customer_is_told_once(oms: Oms, database: Database) -> None:
    """One row for each order and kind, with a reference to the customer and nothing else about him."""
    order_id = await oms.create_order(submission(), "paid")
    notifier = RecordedNotifications(database.sessions)
    desk = OrderActivities(oms, notifier)
    await asyncio.gather(*(desk.send_confirmation(OrderReference(order_id, "paid")) for _ in range(4)))
    assert await notifier.of(order_id) == ("CONFIRMATION",)
    assert await database.value("SELECT customer_id FROM oms.notifications") == submission().customer_id
    with pytest.raises(ApplicationError) as refused:
        await desk.send_confirmation(OrderReference("nobody's", "paid"))
    assert (refused.value.type, refused.value.non_retryable) == ("UnknownOrderError", True)


async def test_an_invalid_submission_is_rejected_once_and_never_becomes_an_order(
    oms: Oms, database: Database
) -> None:
    """OrderRejected carries the reasons, is published once, and the verdict stands."""
    bad = submission(lines=[OrderLine("A", -2, Decimal(1))])
    reasons = await oms.validate_order(bad)
    assert len(reasons) == 1
    assert await oms.validate_order(bad) == reasons
    with pytest.raises(InvalidOrderError, match="is -2"):
        await oms.create_order(bad)
    with pytest.raises(IllegalTransitionError, match="was rejected before"):
        await oms.create_order(submission())
    assert await oms.validate_order(submission()) == reasons, "the first verdict on a request stands"

    (rejected,) = await database.published()
    assert isinstance(rejected.event, OrderRejected)
    assert (rejected.event.reasons, rejected.sequence) == (reasons, 1)
    assert await oms.order(bad.order_id) is None
    assert (await oms.counts())["REJECTED"] == 1
    assert await oms.rejected() == [(bad.order_id, reasons)]


async def test_a_submission_that_no_database_could_hold_is_rejected(oms: Oms) -> None:
    """Characters that PostgreSQL refuses, and names without end, are reasons and not errors."""
    assert await oms.validate_order(replace(submission(), request_id="a\x00b"))
    assert await oms.validate_order(submission("x" * 10_000))


async def test_an_open_order_can_fail_and_then_nothing_else(oms: Oms, database: Database) -> None:
    """A failed order says why, once, and every later step is illegal."""
    order_id = await oms.create_order(submission())
    for _ in range(2):
        await oms.mark_order_failed(order_id, "STOCK_TIMEOUT", "no stock for 72 h")
    for operation in (
        oms.mark_order_reserved(order_id),
        oms.mark_order_shipped(order_id, "s"),
        oms.mark_order_cancelled(order_id, "late"),
    ):
        with pytest.raises(IllegalTransitionError, match="is FAILED"):
            await operation
    (failed,) = await database.published()
    assert isinstance(failed.event, OrderFailed)
    assert (failed.event.code, failed.sequence, failed.extensions) == (
        "STOCK_TIMEOUT",
        1,
        {"flow": "direct"},
    )


async def test_a_cancellation_is_asked_for_once_and_answered(oms: Oms, database: Database) -> None:
    """The request is published once; the order's cancellation answers it."""
    order_id = await oms.create_order(submission())
    for _ in range(3):
        assert await oms.request_cancellation(order_id, "admin", "changed-mind") is (
            CancellationStatus.REQUESTED
        )
    await oms.mark_order_cancelled(order_id, "changed-mind")
    assert await oms.request_cancellation(order_id, "admin") is CancellationStatus.CANCELLED
    assert await database.names() == ["OrderCancelRequested", "OrderCancelled"]
    cancellation = await oms.cancellation(order_id)
    assert cancellation is not None
    assert cancellation.status is CancellationStatus.CANCELLED


async def test_a_shipped_order_cannot_be_cancelled(oms: Oms, database: Database) -> None:
    """The refusal is recorded and nothing is published."""
    order_id = await oms.create_order(submission())
    await oms.mark_order_reserved(order_id)
    await oms.mark_order_shipped(order_id, "s")
    assert await oms.request_cancellation(order_id, "admin") is CancellationStatus.REFUSED
    assert await oms.request_cancellation(order_id, "admin") is CancellationStatus.REFUSED
    assert await database.names() == ["OrderReserved", "OrderShipped"]


async def test_a_late_request_is_refused_by_the_workflow_or_by_the_order_s_end(oms: Oms) -> None:
    """After ConfirmShipment the workflow refuses; an order that ends otherwise answers what is open."""
    first = await oms.create_order(submission("r-1"))
    await oms.request_cancellation(first, "admin")
    await oms.refuse_cancellation(first, "the shipment is confirmed")
    await oms.refuse_cancellation(first, "again")
    answered = await oms.cancellation(first)
    assert answered is not None
    assert (answered.status, answered.answer) == (CancellationStatus.REFUSED, "the shipment is confirmed")

    second = await oms.create_order(submission("r-2"))
    await oms.request_cancellation(second, "admin")
    await oms.mark_order_reserved(second)
    standing = await oms.cancellation(second)
    assert standing is not None
    assert standing.status is CancellationStatus.REQUESTED
    await oms.mark_order_failed(second, "PICK_TIMEOUT", "nobody picked")
    answered = await oms.cancellation(second)
    assert answered is not None
    assert (answered.status, answered.answer) == (CancellationStatus.REFUSED, "the order is FAILED")

    third = await oms.create_order(submission("r-3"))
    await oms.refuse_cancellation(third, "no request on record")
    answered = await oms.cancellation(third)
    assert answered is not None
    assert answered.status is CancellationStatus.REFUSED


async def test_an_unknown_order_is_its_own_error(oms: Oms) -> None:
    """Every operation on an order that is not there names it."""
    for operation in (
        oms.mark_order_reserved("nobody"),
        oms.request_cancellation("nobody", "admin"),
        oms.refuse_cancellation("nobody", "late"),
        oms.order_lines("nobody"),
    ):
        with pytest.raises(UnknownOrderError, match="nobody"):
            await operation
    assert await oms.order("nobody") is None
    assert await oms.cancellation("nobody") is None


async def test_only_facts_that_no_operation_publishes_can_be_emitted(oms: Oms) -> None:
    """OrderShipped cannot be emitted past its state machine."""
    order_id = await oms.create_order(submission())
    with pytest.raises(ServiceError, match="OrderShipped"):
        await oms.emit_order_event(order_id, "OrderShipped", derived_id("x", 1))


async def test_an_answer_to_a_cancellation_stands(oms: Oms) -> None:
    """Refused because the order had shipped, it says so for ever, also when the order is delivered."""
    order_id = await oms.create_order(submission())
    await oms.mark_order_reserved(order_id)
    await oms.mark_order_confirmed(order_id)
    await oms.mark_order_shipped(order_id, "s-1")
    assert await oms.request_cancellation(order_id, "admin") is CancellationStatus.REFUSED
    answered = await oms.cancellation(order_id)
    await oms.mark_order_delivered(order_id, "s-1")
    assert answered is not None
    assert answered.answer == "the order is SHIPPED"
    assert await oms.cancellation(order_id) == answered


async def test_at_once_is_once(oms: Oms, database: Database) -> None:
    """Eight attempts at the same time have one effect and one event."""
    wanted = submission()
    await asyncio.gather(*(oms.validate_order(wanted) for _ in range(8)))
    await asyncio.gather(*(oms.create_order(wanted) for _ in range(8)))
    event_id = derived_id("emitted", wanted.order_id)
    emitted = await asyncio.gather(
        *(oms.emit_order_event(wanted.order_id, "OrderCreated", event_id) for _ in range(8))
    )
    assert sum(emitted) == 1
    await asyncio.gather(*(oms.mark_order_reserved(wanted.order_id) for _ in range(8)))
    await asyncio.gather(*(oms.request_cancellation(wanted.order_id, "admin") for _ in range(8)))
    published = await database.published()
    assert [one.name for one in published] == ["OrderCreated", "OrderReserved", "OrderCancelRequested"]
    assert [one.sequence for one in published] == [1, 2, 3]


async def test_a_request_has_one_order(oms: Oms, database: Database) -> None:
    """Where another order stands for the request, that is said in words, and not by an error of the database.

    Attempts at the same moment that meet at the key of the request, and not at that of the order, go the same way.
    """
    wanted = submission()
    another = (
        "INSERT INTO oms.orders (order_id, request_id, customer_id, currency, ordered_at, flow, state, version, "
        "created_at) VALUES ('another', :request_id, 'c-1', 'EUR', now(), 'direct', 'CREATED', 0, now())"
    )
    async with database.engine.begin() as connection:
        await connection.execute(text(another), {"request_id": wanted.request_id})
    with pytest.raises(InvalidOrderError, match=f"request_id {wanted.request_id} is taken by another order"):
        await oms.create_order(wanted)


async def test_the_net_amount_in_the_table_is_the_line_s(oms: Oms, database: Database) -> None:
    """SQL over the table and the line's own arithmetic agree to the cent."""
    lines = [
        OrderLine("A", 3, Decimal("0.05"), Decimal("0.5")),
        OrderLine("B", 7, Decimal("19.99"), Decimal("0.15")),
    ]
    await oms.create_order(submission(lines=lines))
    assert await database.value("SELECT sum(net) FROM oms.order_lines") == sum(line.net for line in lines)


async def test_orders_are_listed_by_state(oms: Oms) -> None:
    """The list can be kept to one state, and is never longer than asked for."""
    for number in range(3):
        await oms.create_order(submission(f"r-{number}"))
    await oms.mark_order_reserved(submission("r-1").order_id)
    assert [order.request_id for order in await oms.orders(state="RESERVED")] == ["r-1"]
    assert len(await oms.orders(limit=2)) == 2
