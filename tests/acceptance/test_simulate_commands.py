"""``tidegate simulate``: the outside world as real processes, killed and started again."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from infra.clients.kafka import aiokafka_options
from infra.errors import MisuseError
from infra.ids import derived_id
from infra.local import Stack
from outbox import Outbox
from schemas.envelope import Envelope
from schemas.event import Event
from schemas.events import Pick, PickWaveCancelled, PickWaveCreated, ShipmentConfirmed
from services.upstream import Simulation
from services.upstream.agenda import Agenda
from services.upstream.floor import FLOOR
from services.upstream.process import RoleProcess
from tests.command_support import Workplace, workplace
from tests.waiting import until
from tidegate.wiring.schemas import open_schemas
from tidegate.wiring.services import open_sessions

_NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest_asyncio.fixture(loop_scope="session")
async def place(
    stack: Stack, tmp_path: Path, postgres_dsn: str, upstream_dsn: str
) -> AsyncIterator[Workplace]:
    """Fresh databases on the shared servers."""
    async with workplace(stack, tmp_path, postgres_dsn, upstream_dsn) as opened:
        yield opened


async def produce(place: Workplace, events: Sequence[Event], flow: str = "paid") -> None:
    """Put events on their topics, as the relay would."""
    schemas = await open_schemas(place.settings)
    producer = AIOKafkaProducer(**aiokafka_options(place.settings.kafka))
    await producer.start()
    try:
        for event in events:
            envelope = Envelope(
                id=derived_id("test", repr(event)),
                type=event.TYPE,
                source="/services/test",
                subject=event.key,
                time=_NOW,
                extensions={"flow": flow},
            )
            await producer.send(
                event.TOPIC,
                schemas.codec.encode(event),
                key=event.key.encode(),
                headers=envelope.to_headers(),
            )
        await producer.flush()
    finally:
        await producer.stop()
        await schemas.close()


async def reports(place: Workplace, prefix: str) -> list[asyncpg.Record]:
    """What upstream has published about orders whose ids begin with ``prefix``, in order."""
    connection = await asyncpg.connect(place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"])
    try:
        return await connection.fetch(
            "SELECT event_id, type, subject, sequence, source, extensions FROM outbox.events"
            " WHERE subject LIKE $1 || '%' ORDER BY id",
            prefix,
        )
    finally:
        await connection.close()


def wave(order_id: str) -> PickWaveCreated:
    """A wave of one pick."""
    return PickWaveCreated(
        order_id=order_id, wave_id=f"w-{order_id}", picks=(Pick(sku="A", quantity=1),), created_at=_NOW
    )


async def test_the_floor_survives_kill_nine(place: Workplace, unique: str) -> None:
    """Killed in the middle and started again, it reports every pick and pack once, in order, with the flow."""
    orders = [f"{unique}-{number}" for number in range(150)]
    words = ("simulate", "floor", "--delay", "1.5", "--seed", "3", "--group-prefix", f"{unique}-")
    await produce(place, [wave(order_id) for order_id in orders])
    first = await place.start(*words)
    try:
        await until(lambda: _more(place, unique, 40), what="the floor reports")
    finally:
        first.kill()
        await first.wait()
    assert len(await reports(place, unique)) < 300, "it was killed in the middle"
    await produce(place, [wave(order_id) for order_id in orders[:50]])

    second = await place.start(*words)
    try:
        await until(lambda: _more(place, unique, 300), what="every pick and pack is reported")
    finally:
        second.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(second.communicate(), 60)
    assert second.returncode == 0
    assert b"ready" in err
    by_order = defaultdict(list)
    for row in await reports(place, unique):
        by_order[row["subject"]].append((row["type"].rpartition(".")[2], row["sequence"]))
        assert row["source"] == "/upstream/floor"
        assert '"paid"' in row["extensions"]
    assert dict(by_order) == {order_id: [("PickCompleted", 1), ("PackCompleted", 2)] for order_id in orders}


async def test_a_world_with_repeats_is_the_same_world(place: Workplace, unique: str) -> None:
    """Repeats and reorderings come as the seed decides; every fact is there; a cancelled wave is left alone."""
    orders = [f"{unique}-{number}" for number in range(60)]
    gone = [f"{unique}-gone-{number}" for number in range(5)]
    cancelled = [PickWaveCancelled(order_id=one, wave_id="w", cancelled_at=_NOW) for one in gone]
    await produce(place, [*(wave(one) for one in (*orders, *gone)), *cancelled])
    floor = await place.start(
        *("simulate", "floor", "--delay", "0.6", "--seed", "3", "--group-prefix", f"{unique}-"),
        *("--duplicate", "0.3", "--duplicate-fact", "0.3", "--reorder", "0.3"),
    )
    carrier = await place.start(
        *("simulate", "carrier", "--delay", "0.1", "--seed", "3", "--group-prefix", f"{unique}-"),
    )
    await produce(
        place, [ShipmentConfirmed(order_id=one, shipment_id="s", confirmed_at=_NOW) for one in orders]
    )
    try:
        await until(lambda: _delivered(place, orders), what="all is reported")
        await until(lambda: _nothing_open(place), what="nothing is left to do")
    finally:
        for process in (floor, carrier):
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.communicate(), 120)
    rows = await reports(place, unique)
    floor_rows = [row for row in rows if row["source"] == "/upstream/floor"]
    facts = Counter((row["subject"], row["type"]) for row in floor_rows)
    assert len(facts) == 120
    assert not any(row["subject"] in gone for row in rows)
    assert len({row["event_id"] for row in floor_rows}) < len(floor_rows), "some events came again"
    assert max(facts.values()) > 1
    last: dict[str, int] = defaultdict(int)
    seen: set[object] = set()
    for row in floor_rows:
        if row["event_id"] not in seen:
            assert row["sequence"] == last[row["subject"]] + 1
            last[row["subject"]] = row["sequence"]
        seen.add(row["event_id"])


async def test_the_storefront_goes_on_where_it_was(place: Workplace) -> None:
    """Stopped and started again with the same seed, it submits what was missing and nothing twice."""
    words = ("simulate", "storefront", "--rate", "40", "--seed", "11", "--orders", "120")
    first = await place.start(*words)
    try:
        await until(lambda: _submitted(place, 40), what="the storefront submits")
    finally:
        first.kill()
        await first.wait()
    ended = await place.tidegate(*words)
    assert ended.status == 0
    connection = await asyncpg.connect(place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"])
    try:
        assert await connection.fetchval("SELECT count(*) FROM outbox.events") == 120
        assert await connection.fetchval("SELECT count(DISTINCT key) FROM outbox.events") == 120
    finally:
        await connection.close()


@pytest.mark.parametrize("words", ["floor", "carrier --with-supplier"])
async def test_a_broker_that_is_not_there_is_one_line(place: Workplace, words: str) -> None:
    """Without Kafka they say so, in one line, and end, also where two share a process."""
    place.environment["TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"] = "127.0.0.1:1"
    ended = await place.tidegate("simulate", *words.split())
    assert ended.status == 1
    assert ended.err.splitlines()[-1].startswith("tidegate: Kafka at 127.0.0.1:1 does not answer")
    assert "Traceback" not in ended.err


async def test_a_topic_that_is_not_there_is_said_at_once(place: Workplace, unique: str) -> None:
    """A broker without the topics answers, so it is not said to be away; what to do is."""
    settings = place.settings
    schemas = await open_schemas(settings)
    nowhere = type("Nowhere", (PickWaveCreated,), {"TOPIC": f"nowhere-{unique}"})
    try:
        async with open_sessions(settings, upstream=True) as sessions:
            role = replace(FLOOR, listens_to=(nowhere,))
            agenda = Agenda(role, sessions, Outbox(schemas.codec))
            kafka = {**aiokafka_options(settings.kafka), "group_id": unique}
            process = RoleProcess(role, Simulation(), agenda, schemas.lookup, kafka)
            with pytest.raises(
                MisuseError, match=f"no topic nowhere-{unique} on the broker: run `tidegate topics apply`"
            ):
                await process.run(asyncio.Event())
    finally:
        await schemas.close()


async def test_the_log_is_json_where_that_is_asked_for(place: Workplace) -> None:
    """With --json every line of a simulated system's log is one JSON object."""
    ended = await place.tidegate(
        "simulate", "storefront", "--orders", "2", "--rate", "50", "--seed", "11", "--json"
    )
    assert ended.status == 0
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert [line["event"] for line in lines] == ["ready", "submitted", "all submitted"]
    assert {line["process"] for line in lines} == {"storefront"}


async def _more(place: Workplace, prefix: str, number: int) -> bool:
    return len(await reports(place, prefix)) >= number


async def _submitted(place: Workplace, number: int) -> bool:
    connection = await asyncpg.connect(place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"])
    try:
        return bool(await connection.fetchval("SELECT count(*) >= $1 FROM outbox.events", number))
    finally:
        await connection.close()


async def _delivered(place: Workplace, orders: Sequence[str]) -> bool:
    rows = await reports(place, orders[0].partition("-")[0])
    delivered = {row["subject"] for row in rows if row["type"].endswith("ShipmentDelivered")}
    packed = {row["subject"] for row in rows if row["type"].endswith("PackCompleted")}
    return delivered >= set(orders) and packed >= set(orders)


async def _nothing_open(place: Workplace) -> bool:
    connection = await asyncpg.connect(place.environment["TIDEGATE_POSTGRES__UPSTREAM_DSN"])
    try:
        return not await connection.fetchval("SELECT count(*) FROM upstream.tasks WHERE done_at IS NULL")
    finally:
        await connection.close()
