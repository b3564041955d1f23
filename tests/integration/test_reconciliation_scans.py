"""Reconciliation on a real PostgreSQL: each partial state made by hand is found, resumed once or told of once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio
from sqlalchemy import text

from infra.local import Component
from schemas.events import CostAlert, OrderReserved, PaymentCaptured, ReconciliationAlert
from services.publishing import utc_now
from services.reconciliation import Budgets, Candidate, CostWatch, Kind
from tests.reconciliation_support import Ground
from tests.services_support import Database, migrated
from tests.stack import SessionStack, fresh_database
from tidegate.bootstrap import MAIN_ROOMS
from workflows.activities.reconciliation import CostActivities, Reconciler
from workflows.contracts.reconciliation import CostWatchRequest
from workflows.reconciling import Existence, Found


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def database(servers: SessionStack) -> AsyncIterator[Database]:
    """A database with every context's tables, for the tests of this module."""
    dsn = (await servers.having(Component.POSTGRES)).postgres_dsn
    assert dsn is not None
    async with fresh_database(dsn) as fresh, migrated(fresh, MAIN_ROOMS) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def ground(database: Database) -> Ground:
    """The same without a row in it."""
    emptied = Ground(database)
    await emptied.empty()
    return emptied


async def test_a_sound_database_is_left_alone(ground: Ground) -> None:
    """Orders at every stage, each in the hands of its workflow or at its end, however old: nothing is found."""
    day = 24 * 60
    for number, (state, checkout) in enumerate(
        [("CREATED", "AWAITING_DECISION"), ("CREATED", "COMPLETED"), ("RESERVED", "COMPLETED")]
    ):
        await ground.order(f"open-{number}", state, minutes=day)
        ground.workflows.running(f"order-fulfillment-open-{number}")
        await ground.order(f"paid-{number}", state, flow="paid", minutes=day, checkout=checkout)
        ground.workflows.running(
            f"order-paid-{number}" if checkout == "COMPLETED" else f"checkout-c-paid-{number}"
        )
        await ground.payment(f"paid-{number}", "AUTHORIZED", minutes=day)
    await ground.order("new", "CREATED", minutes=day)
    ground.workflows.running("order-intake-r-new")
    ground.workflows.running("order-fulfillment-paid-2", "WAITING_FOR_PAYMENT")
    ground.workflows.running("payment-paid-2")
    await ground.reservation("open-0", "WAITING", minutes=day)
    await ground.reservation("open-1", "RESERVED", minutes=day)
    await ground.shipment("open-2", "CREATED", minutes=30)
    for state, reservation, payment, shipment in [
        ("SHIPPED", "CONSUMED", "CAPTURED", "CONFIRMED"),
        ("DELIVERED", "CONSUMED", "CAPTURED", "CONFIRMED"),
        ("FAILED", "FAILED", "VOIDED", None),
        ("FAILED", "RELEASED", "FAILED", None),
        ("CANCELLED", "RETURNED", "REFUNDED", "CANCELLED"),
    ]:
        await ground.order(
            f"over-{reservation}-{state}", state, flow="paid", minutes=day, checkout="COMPLETED"
        )
        await ground.reservation(f"over-{reservation}-{state}", reservation, minutes=day)
        await ground.payment(f"over-{reservation}-{state}", payment, minutes=day)
        if shipment:
            await ground.shipment(f"over-{reservation}-{state}", shipment, minutes=day)
    await ground.order("failing", "FAILED", minutes=day)
    await ground.reservation("failing", "RESERVED", minutes=day)
    ground.workflows.running("order-fulfillment-failing")
    await ground.parked("order-fulfillment-early", waited=1)
    await ground.replenishment("A", 1, "RECEIVED", minutes=day)
    await ground.replenishment("A", 2, "ORDERED", minutes=day)
    ground.workflows.running("replenishment-A-2")
    assert await ground.run() == {}
    assert await ground.alerts() == []
    assert ground.workflows.started == []


async def test_what_is_merely_young_is_left_alone(ground: Ground) -> None:
    """Every partial state, but younger than its grace: Temporal is not even asked."""
    await ground.order("o", minutes=1)
    await ground.reservation("r", minutes=1)
    await ground.shipment("s", minutes=1)
    await ground.payment("p", minutes=1)
    await ground.replenishment("A", 1, minutes=1)
    await ground.parked("w", waited=11.9)
    await ground.order("gone", "CANCELLED", minutes=1)
    await ground.reservation("gone", minutes=60)
    assert await ground.run() == {}
    assert ground.workflows.looks == []


async def test_each_partial_state_is_resumed_once(ground: Ground) -> None:
    """Workflows are started, parked events retried, the rest undone by its owner; a second run has nothing to do."""
    await ground.order("direct")
    await ground.order("paid", flow="paid", checkout="COMPLETED")
    await ground.reservation("nobody", "WAITING")
    await ground.order("cancelled", "CANCELLED")
    await ground.reservation("cancelled")
    await ground.shipment("cancelled")
    await ground.payment("cancelled")
    await ground.payment("hung", "NEW")
    await ground.replenishment("A", 3)
    await ground.parked("order-fulfillment-there", waited=13)
    ground.workflows.running("order-fulfillment-there")
    assert await ground.run() == {
        "order_without_workflow": (2, 0, 0),
        "reservation_without_order": (0, 0, 2),
        "shipment_without_label": (0, 0, 1),
        "authorization_open": (0, 0, 2),
        "parked_past_half": (1, 0, 0),
        "replenishment_without_workflow": (1, 0, 0),
    }
    assert sorted(workflow_id for _, workflow_id, _ in ground.workflows.started) == [
        "order-fulfillment-direct",
        "order-paid",
        "replenishment-A-3",
    ]
    assert sorted(ground.workflows.told_again) == sorted(id_ for _, id_, _ in ground.workflows.started)
    assert ground.workflows.retried == ["order-fulfillment-there"]
    assert await ground.run() == {}
    assert await ground.alerts() == []
    figures = {one.kind: one for one in await ground.memory.figures()}
    assert figures[Kind.ORDER_WITHOUT_WORKFLOW].resumed == 2
    assert (figures[Kind.ORDER_WITHOUT_WORKFLOW].mean_seconds or 0) >= 600


async def test_what_cannot_be_resumed_is_told_once(ground: Ground) -> None:
    """One ReconciliationAlert for each subject and kind, however often it is looked at."""
    await ground.order("closed")
    ground.workflows.closed("order-fulfillment-closed")
    await ground.order("refused", flow="paid", checkout="REJECTED")
    await ground.order("gone", "FAILED")
    await ground.reservation("gone", "CONSUMED")
    await ground.order("shipped", "SHIPPED")
    await ground.payment("shipped")
    await ground.shipment("shipped")
    await ground.parked("order-fulfillment-nowhere", waited=13)
    assert set(await ground.run()) == {
        "order_without_workflow",
        "reservation_without_order",
        "shipment_without_label",
        "authorization_open",
        "parked_past_half",
    }
    told = await ground.alerts()
    assert sorted(told) == [
        ("authorization_open", "shipped"),
        ("order_without_workflow", "closed"),
        ("order_without_workflow", "refused"),
        ("parked_past_half", "order-fulfillment-nowhere"),
        ("reservation_without_order", "gone"),
        ("shipment_without_label", "shipped"),
    ]
    for _ in range(2):
        assert await ground.run() == {}
    assert await ground.alerts() == told
    published = await ground.database.published(source="/services/reconciliation")
    assert all(isinstance(one.event, ReconciliationAlert) for one in published)
    assert len({one.event_id for one in published}) == 6


async def test_two_runs_at_once_tell_once(ground: Ground) -> None:
    """By hand and by schedule, whoever comes first."""
    candidate = Candidate(Kind.AUTHORIZATION_OPEN, "o", datetime(2026, 11, 21, tzinfo=UTC), {})
    told = await asyncio.gather(*(ground.memory.alert(candidate, "somebody look") for _ in range(4)))
    assert sorted(told) == [False, False, False, True]
    assert await ground.alerts() == [("authorization_open", "o")]


async def test_what_was_resumed_in_vain_is_an_alert(ground: Ground) -> None:
    """It has five minutes to get on; whoever is still where he was is a person's."""
    await ground.reservation("nobody")
    assert await ground.run() == {"reservation_without_order": (0, 0, 1)}
    assert await ground.run() == {}, "it has time"
    impatient = Reconciler(ground.memory, ground.workflows, patience=timedelta(0))
    batch = await impatient.batch(Kind.RESERVATION_WITHOUT_ORDER)
    assert (batch.alerted, batch.steps) == (1, ())
    assert (await impatient.batch(Kind.RESERVATION_WITHOUT_ORDER)).alerted == 0
    assert await ground.alerts() == [("reservation_without_order", "nobody")]


@pytest.mark.parametrize(
    ("order_state", "payment", "target", "status", "event"),
    [
        ("RESERVED", "AUTHORIZED", "order-o", None, "OrderReserved"),
        ("RESERVED", "CAPTURED", "order-fulfillment-o", "WAITING_FOR_PAYMENT", "PaymentCaptured"),
    ],
)
async def test_an_event_that_the_topic_holds_is_delivered_again(
    ground: Ground, order_state: str, payment: str, target: str, status: str | None, event: str
) -> None:
    """Once it is published; before, the relay has it in hand."""
    await ground.order("o", order_state, flow="paid", checkout="COMPLETED")
    await ground.payment("o", payment)
    ground.workflows.running("order-o")
    ground.workflows.running("order-fulfillment-o", status)
    await _publish(ground, event)
    assert await ground.run() == {}
    await _relayed(ground)
    assert await ground.run() == {"event_not_taken": (1, 0, 0)}
    assert ground.workflows.delivered == [(event, target)]
    assert await ground.run() == {}


async def test_a_delivery_that_the_ledger_knows_is_told_again(ground: Ground) -> None:
    """The carrier's event reached the bridge; the order still says shipped."""
    await ground.order("o", "SHIPPED", flow="paid", checkout="COMPLETED")
    ground.workflows.running("order-o")
    await ground.put(
        """
        INSERT INTO bridge.ledger (event_id, event_type, topic, partition, "offset", key, route, workflow_id, outcome,
                                   origin, delivery, at)
        VALUES (gen_random_uuid(), 'tidegate.sms.shipments.ShipmentDelivered', 'sms.shipments', 3, 7, 'o',
                'ShipmentDelivered:signal:ShipmentDelivered', 'order-o', 'delivered', 'live', 1,
                now() - interval '10 minutes')
        """
    )
    assert await ground.run() == {"event_not_taken": (1, 0, 0)}
    assert ground.workflows.told_again == ["order-o"]
    (place,) = await ground.memory.deliveries("order-o")
    assert (place.topic, place.partition, place.offset) == ("sms.shipments", 3, 7)


async def test_an_order_that_ends_between_scan_and_look_is_left_alone(ground: Ground) -> None:
    """What was read before Temporal was asked may be older than its answer: it is read again before an act."""

    async def ships_meanwhile(workflow_id: str) -> Found:
        await ground.put("UPDATE oms.orders SET state = 'SHIPPED', shipped_at = now()")
        return Found(Existence.CLOSED)

    await ground.order("o", "RESERVED")
    ground.workflows.look = ships_meanwhile  # type: ignore[method-assign]
    assert await ground.run() == {}
    assert await ground.alerts() == []


async def test_a_scan_goes_on_where_the_last_one_ended(ground: Ground) -> None:
    """A batch is bounded; the next begins after it, and after the last one at the beginning."""
    for number in range(7):
        await ground.order(f"o-{number}")
    kind = Kind.ORDER_WITHOUT_WORKFLOW
    batches = [await ground.reconciler.batch(kind, limit=3) for _ in range(3)]
    assert [(batch.candidates, batch.more) for batch in batches] == [(3, True), (3, True), (1, False)]
    assert len(ground.workflows.started) == 7
    assert await ground.memory.position(kind) == ""


async def test_a_scan_says_what_it_would_do_without_doing_it(ground: Ground) -> None:
    """A plan starts nothing, tells nobody and remembers nothing."""
    await ground.order("o")
    judged, after = await ground.reconciler.judge(Kind.ORDER_WITHOUT_WORKFLOW, "")
    assert [one.candidate.subject for one in judged] == ["o"]
    assert after == ""
    assert ground.workflows.started == []
    assert await ground.run() == {"order_without_workflow": (1, 0, 0)}


# --- Cost watch -------------------------------------------------------------------------------------------


async def test_a_budget_that_is_passed_is_told_once_in_a_window(ground: Ground) -> None:
    """Of each measure one CostAlert a window; within the budget none."""
    budgets = Budgets(workflows=3, events=1, window=timedelta(hours=1))
    watch = CostWatch(ground.database.sessions, ground.database.outbox, budgets)
    activities = CostActivities(watch, ground.workflows)
    assert (await activities.watch_costs(CostWatchRequest())).alerted == ()
    ground.workflows.workflows_started = 4
    await _publish(ground, "OrderReserved")
    await _publish(ground, "PaymentCaptured")
    assert (await activities.watch_costs(CostWatchRequest())).alerted == ("workflows", "events")
    assert (await activities.watch_costs(CostWatchRequest())).alerted == ()
    published = [one.event for one in await ground.database.published(source="/services/reconciliation")]
    alerts = [event for event in published if isinstance(event, CostAlert)]
    assert [(one.measure, one.value, one.budget, one.window_seconds) for one in alerts] == [
        ("workflows", 4, 3, 3600),
        ("events", 2, 1, 3600),
    ]
    start, now = budgets.window_start(utc_now()) + timedelta(hours=1), utc_now()
    assert (await watch.judge("workflows", 4, start, now)).alerted, "the next window is another"


def test_windows_follow_each_other_from_1970_on() -> None:
    """Every process agrees when a window begins."""
    budgets = Budgets(1, 1, timedelta(minutes=15))
    start = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)
    assert budgets.window_start(start) == start
    assert budgets.window_start(start + timedelta(minutes=14, seconds=59)) == start


async def _publish(ground: Ground, name: str) -> None:
    now = utc_now()
    event = (
        OrderReserved(order_id="o", reserved_at=now)
        if name == "OrderReserved"
        else PaymentCaptured(
            order_id="o", payment_id="p", amount=Decimal("5.00"), currency="EUR", captured_at=now
        )
    )
    async with ground.database.sessions.begin() as session:
        await ground.database.outbox.append(session, event, source="/services/test", version=None)


async def _relayed(ground: Ground) -> None:
    """Every shard group has published what there is."""
    await ground.put(
        """
        INSERT INTO outbox.cursors (shard_group, revision, epoch, snapshot, floor, system_identifier, timeline,
                                    database_oid, generation)
        SELECT g, 1, 1, pg_current_snapshot(), 0, 1, 1, 1, gen_random_uuid() FROM generate_series(0, 7) AS g
        """
    )
    async with ground.database.engine.begin() as connection:
        await connection.execute(text("SELECT pg_current_xact_id()"))
