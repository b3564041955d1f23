"""A run in a world that reports twice, in the wrong order and too early, and what can be done with it afterwards.

One run for all claims of the module: each test looks at it, or adds to it, and says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from infra.clients.kafka import aiokafka_options
from infra.clients.postgres import require_dsn
from infra.settings import Settings
from schemas.envelope import Envelope
from schemas.events import OrderReserved, ShipmentCreated
from services.orders import OrderSubmission
from services.publishing import utc_now
from services.upstream import Simulation
from tests.loop_runs import (
    RUN_SECONDS,
    append,
    fetch,
    load_ample_stock,
    loop_on_its_own_stack,
    shipments_of,
    shipped,
    some_orders,
    submit,
    tidegate,
)
from tests.reconciliation_support import reconciling
from tests.waiting import until
from tidegate.loop import Loop

pytestmark = pytest.mark.timeout(1500)

FAULTY = (
    *("--seed", "7", "--delay", "0.1"),
    *("--duplicate", "0.05", "--duplicate-fact", "0.05", "--reorder", "0.05", "--early", "0.02"),
)
ROUTED_TOPICS = ("oms.orders", "wms.warehouse", "ims.allocations")


@dataclass(frozen=True, slots=True)
class Run:
    """A settled run."""

    loop: Loop
    orders: Sequence[OrderSubmission]
    reconciled: Sequence[str]
    """What reconciliation, which ran beside it without a pause and without grace, took to be stuck."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def run(tmp_path_factory: pytest.TempPathFactory, registry_url: str) -> AsyncIterator[Run]:
    """60 orders through a faulty world."""
    orders = some_orders(60, seed=7)
    home: Path = tmp_path_factory.mktemp("faulty")
    async with loop_on_its_own_stack(
        home,
        upstream_options=FAULTY,
        label_options=("--label-failure", "0.05"),
        registry_url=registry_url,
    ) as (
        loop,
        _,
    ):
        await load_ample_stock(loop.settings)
        async with reconciling(loop.settings) as reconciled:
            await submit(loop.settings, orders, Simulation(7, duplicate=0.05, duplicate_fact=0.05))
            await loop.settle(seconds=RUN_SECONDS)
        yield Run(loop, orders, tuple(reconciled))


async def test_a_faulty_world_ends_like_a_sound_one(run: Run) -> None:
    """5 % duplicates of both kinds, 5 % reordered, 2 % early: the same shipments, and an audit without findings."""
    result = await run.loop.result()
    assert result.findings == ()
    assert result.adds_up
    assert await shipped(run.loop.settings) == shipments_of(run.orders)


async def test_reconciliation_beside_the_loop_touches_nothing(run: Run) -> None:
    """However young the orders are: what a workflow has in hand is not stuck, and what is not stuck is left alone."""
    assert run.reconciled == ()
    assert await fetch(run.loop.settings, "SELECT * FROM reconciliation.resumptions") == []
    assert await fetch(run.loop.settings, "SELECT * FROM reconciliation.alerts") == []


async def test_the_faults_have_happened(run: Run) -> None:
    """The world was faulty indeed: the floor's outbox holds an event twice, a fact under two event ids, packs before
    their picks, and a report that is older than the wave which it is about."""
    connection = await asyncpg.connect(require_dsn(run.loop.settings.postgres, upstream=True))
    try:
        again = await connection.fetchval(
            "SELECT count(*) - count(DISTINCT event_id) FROM outbox.events WHERE topic = 'wms.warehouse'"
        )
        restated = await connection.fetchval(
            "SELECT count(DISTINCT event_id) - count(DISTINCT (key, type)) FROM outbox.events "
            "WHERE topic = 'wms.warehouse'"
        )
        swapped = await connection.fetchval(
            "SELECT count(*) FROM (SELECT key FROM outbox.events WHERE topic = 'wms.warehouse' GROUP BY key "
            "HAVING min(id) FILTER (WHERE type LIKE '%PackCompleted') "
            "< min(id) FILTER (WHERE type LIKE '%PickCompleted')) AS orders"
        )
        reports = await connection.fetch(
            "SELECT key, min(created_at) AS at FROM outbox.events WHERE topic = 'wms.warehouse' GROUP BY key"
        )
    finally:
        await connection.close()
    waves = await fetch(
        run.loop.settings,
        "SELECT key, created_at AS at FROM outbox.events WHERE type LIKE '%PickWaveCreated'",
    )
    wave_of = {row["key"]: row["at"] for row in waves}
    assert again > 0
    assert restated > 0
    assert swapped > 0
    assert any(report["at"] < wave_of[report["key"]] for report in reports)


async def test_analytics_equal_the_services(run: Run) -> None:
    """After the run the read models say what OMS's tables say, to the cent."""
    assert (await run.loop.result()).analytics_differences == ()
    [row] = await fetch(run.loop.settings, "SELECT sum(orders)::int AS orders FROM analytics.revenue_by_day")
    assert row["orders"] == len(run.orders)


async def test_a_replay_of_everything_changes_nothing(run: Run) -> None:
    """Every routed topic from offset 0 into the bridge: no state changes, no event is emitted, no signal is sent."""
    before = await _state(run.loop)
    for topic in ROUTED_TOPICS:
        status, output = await tidegate(
            run.loop.settings, "replay", topic, "--from-offset", "0", "--execute", "--json"
        )
        assert status == 0, output
    await run.loop.settle(seconds=RUN_SECONDS)
    assert await _state(run.loop) == before
    assert (await run.loop.result()).adds_up


async def test_the_audit_finds_what_a_test_has_put_in(run: Run) -> None:
    """A missing record, a doubled shipment and a swapped pair, on the real servers: each is found and named.

    The last test of the module: what it puts in stays.
    """
    settings = run.loop.settings
    missing, doubled, swapped = (order.order_id for order in run.orders[:3])
    await _publish_swapped_pair(settings, swapped)
    await append(
        settings, ShipmentCreated(order_id=doubled, shipment_id="second", created_at=utc_now()), "sms", 90
    )
    await until(lambda: _settled(run.loop), seconds=RUN_SECONDS, every=0.5)
    await run.loop.supervisor.end("relay")
    await append(settings, OrderReserved(order_id=missing, reserved_at=utc_now()), "wms", 91)
    found = {(finding.kind, finding.what) for finding in (await run.loop.result()).findings}
    assert {kind for kind, _ in found} == {"lost", "duplicate_effect", "out_of_order"}
    assert any(kind == "lost" and missing in what and "no record" in what for kind, what in found)
    assert ("duplicate_effect", f"/services/sms stated ShipmentCreated 2 times for {doubled}") in found
    assert any(kind == "out_of_order" and f"/test {swapped} after 2" in what for kind, what in found)


async def _settled(loop: Loop) -> bool:
    return (await loop.progress()).settled


async def _publish_swapped_pair(settings: Settings, order_id: str) -> None:
    producer = AIOKafkaProducer(**aiokafka_options(settings.kafka))
    await producer.start()
    try:
        for sequence in (2, 1):
            envelope = Envelope(
                id=uuid4(),
                type=OrderReserved.TYPE,
                source="/test",
                subject=order_id,
                time=utc_now(),
                sequence=sequence,
            )
            await producer.send_and_wait(
                OrderReserved.TOPIC, b"-", key=order_id.encode(), headers=envelope.to_headers()
            )
    finally:
        await producer.stop()


async def _state(loop: Loop) -> str:
    """Every row of the services, of the outbox and of what was delivered, as text."""
    tables = {
        "oms.orders": "order_id", "ims.items": "sku", "ims.reservations": "order_id", "wms.waves": "order_id",
        "sms.shipments": "order_id", "analytics.order_facts": "order_id",
    }  # fmt: skip
    state = {}
    for table, key in tables.items():
        rows = await fetch(loop.settings, f"SELECT t::text AS row FROM {table} AS t ORDER BY {key}")
        state[table] = [row["row"] for row in rows]
    state["events"] = [
        row["id"] for row in await fetch(loop.settings, "SELECT id FROM outbox.events ORDER BY id")
    ]
    state["delivered"] = [
        str(row["event_id"])
        for row in await fetch(
            loop.settings,
            "SELECT event_id FROM bridge.ledger WHERE outcome IN ('delivered', 'started') ORDER BY id",
        )
    ]
    return json.dumps(state)
