"""Bad records: each becomes a dead letter with its reason, its bytes unchanged, and its key goes on."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from prometheus_client import generate_latest

from consumers.bridge.breaker import BreakerOptions
from consumers.bridge.delivery import Late, Outcome, Reason
from consumers.bridge.route import on, park
from consumers.bridge.routes import ROUTES
from consumers.runtime.record import ConsumedRecord
from infra.topics import dlq_of
from schemas.events import OrderCancelRequested, PickCompleted
from schemas.privacy import REMOVED
from services.publishing import utc_now
from tests.bridge_support import Sent, World, packed, picked
from tests.waiting import until
from workflows.contracts.orders import PICK_COMPLETED

_NOBODY_KNOWS = 2_000_000_000


@pytest.fixture
def world(bridge_surroundings: World) -> World:
    """A topic of one partition."""
    return bridge_surroundings


def unknown_schema(good: bytes) -> bytes:
    """The value under a schema id that the registry does not have."""
    return struct.pack(">bI", 0, _NOBODY_KNOWS) + good[5:]


def truncated(good: bytes) -> bytes:
    """The value without its end."""
    return good[:-4]


def half_a_frame(good: bytes) -> bytes:
    """The value cut in the middle of its schema id."""
    return good[:3]


def not_avro(good: bytes) -> bytes:
    """Something that is no Confluent framing at all."""
    return b'{"order_id": "1"}'


def left_over(good: bytes) -> bytes:
    """The value and more."""
    return good + b"\x00\x00"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (unknown_schema, Reason.UNKNOWN_SCHEMA),
        (truncated, Reason.TRUNCATED),
        (half_a_frame, Reason.TRUNCATED),
        (not_avro, Reason.UNDECODABLE),
        (left_over, Reason.UNDECODABLE),
    ],
)
async def test_a_value_that_cannot_be_decoded(
    world: World, spoil: Callable[[bytes], bytes], reason: Reason
) -> None:
    """A bad value is dead-lettered with its coordinates under every name, and the next event of its key arrives."""
    order_id = world.order("bad")
    await world.start(f"order-fulfillment-{order_id}")
    bad = await world.publish(picked(order_id), value=spoil(world.codec.encode(picked(order_id))))
    good = await world.publish(packed(order_id))
    async with world.bridge():
        await world.settled(good.event_id, "delivered")
    await _is_dead_letter(world, bad, reason)
    assert await world.signals(f"order-fulfillment-{order_id}") == [("PackCompleted", str(good.event_id))]
    assert await world.committed() == {0: good.offset + 1}


async def test_a_record_without_a_key(world: World) -> None:
    """A routed event without a key has no place in any order: dead letter."""
    bad = await world.publish(picked(world.order("nokey")), key=None)
    async with world.bridge():
        await world.settled(bad.event_id, "dead_lettered")
    await _is_dead_letter(world, bad, Reason.MISSING_KEY)


async def test_personal_data_is_neither_delivered_nor_copied(world: World) -> None:
    """An event with more about a person than references becomes a dead letter that names it and holds nothing of it;
    the figures say only how many; the sentence of another is taken out on its way to the workflow."""
    canary = b"jane.canary@example.com"
    order_id = world.order("person")
    await world.start(f"order-fulfillment-{order_id}")
    bad = await world.publish(
        replace(picked(order_id), wave_id=canary.decode()),
        headers={"x-customer": canary, "ce_subject": canary},
    )
    cancel = OrderCancelRequested(
        order_id=order_id, requested_by="support", reason=f"for {canary.decode()}", requested_at=utc_now()
    )
    good = await world.publish(cancel)
    async with world.bridge() as bridge:
        await world.settled(bad.event_id, "dead_lettered")
        await world.settled(good.event_id, "delivered")
        figures = generate_latest(bridge.registry)
    ((record, letter),) = await world.dead_letters()
    assert (letter.event_id, letter.reason) == (bad.event_id, Reason.PERSONAL_DATA)
    assert (letter.record.partition, letter.record.offset) == (0, bad.offset)
    assert canary not in b"".join(
        [record.key or b"", record.value or b"", *(text for _, text in record.headers)]
    )
    assert canary not in figures
    assert b'reason="personal_data"' in figures
    history = await world.history(f"order-fulfillment-{order_id}")
    assert all(canary not in event.SerializeToString() for event in history)
    assert any(REMOVED.encode() in event.SerializeToString() for event in history)
    assert all(canary.decode() not in str(row) for row in await world.ledger())


async def test_a_type_that_nobody_knows(world: World) -> None:
    """A type that no schema describes is a dead letter, not an event without a route."""
    bad = await world.publish(picked(world.order("t")), headers={"ce_type": b"somebody.else.Happened"})
    async with world.bridge():
        await world.settled(bad.event_id, "dead_lettered")
    await _is_dead_letter(world, bad, Reason.UNKNOWN_TYPE)


async def test_headers_and_value_that_disagree(world: World) -> None:
    """A value of another type than the headers promise is a dead letter."""
    order_id = world.order("lie")
    bad = await world.publish(picked(order_id), value=world.codec.encode(packed(order_id)))
    async with world.bridge():
        await world.settled(bad.event_id, "dead_lettered")
    await _is_dead_letter(world, bad, Reason.PAYLOAD_INVALID)


async def test_a_record_without_any_header(world: World) -> None:
    """A foreign record is routed by its schema id, and its event id follows from where it stands."""
    order_id = world.order("foreign")
    await world.start(f"order-fulfillment-{order_id}")
    names = ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "content-type", "id"]
    await world.publish(picked(order_id), headers=dict.fromkeys(names))
    async with world.bridge():

        async def delivered() -> bool:
            return await world.outcomes() == ["delivered"]

        await until(delivered)
    ((name, event_id),) = await world.signals(f"order-fulfillment-{order_id}")
    assert name == "PickCompleted"
    assert UUID(event_id).version == 5


async def test_a_late_event_may_be_a_dead_letter(world: World) -> None:
    """A route may say that a late event is a dead letter instead of a line in the ledger."""
    order_id = world.order("late")
    await world.start(f"order-fulfillment-{order_id}")
    await world.terminate(f"order-fulfillment-{order_id}")
    sent = await world.publish(picked(order_id))
    async with world.bridge([replace(ROUTES[1], late=Late.DEAD_LETTER)]):
        await world.settled(sent.event_id, "dead_lettered")
    await _is_dead_letter(
        world, sent, Reason.LATE, route=ROUTES[1].name, workflow=f"order-fulfillment-{order_id}"
    )


async def test_a_parked_event_past_its_deadline(world: World) -> None:
    """An event whose workflow does not appear in time becomes a dead letter with the bytes it came with."""
    order_id = world.order("never")
    routes = [replace(ROUTES[1], early=park(seconds=0.5))]
    sent = await world.publish(picked(order_id))
    async with world.bridge(routes):
        await world.settled(sent.event_id, "dead_lettered")
    await _is_dead_letter(
        world, sent, Reason.EXPIRED, route=ROUTES[1].name, workflow=f"order-fulfillment-{order_id}"
    )
    assert await world.parked() == []
    assert await world.outcomes(sent.event_id) == ["parked", "dead_lettered"]


async def test_a_redriven_event_is_delivered_once(world: World) -> None:
    """A dead letter read back is the record as it was; redriven, it reaches its workflow; again, it does not."""
    order_id = world.order("redriven")
    sent = await world.publish(picked(order_id))
    async with world.bridge([replace(ROUTES[1], early=park(seconds=0.2))]) as bridge:
        await world.settled(sent.event_id, "dead_lettered")
        ((_, letter),) = await world.dead_letters()
        await world.start(f"order-fulfillment-{order_id}")
        first = await bridge.handler.handle(letter.record, origin="redrive")
        second = await bridge.handler.handle(letter.record, origin="redrive")
    assert [each.outcome for each in (*first, *second)] == [Outcome.DELIVERED, Outcome.DUPLICATE]
    assert await world.signals(f"order-fulfillment-{order_id}") == [("PickCompleted", str(sent.event_id))]


async def test_hold_keeps_the_key_until_the_letter_is_redriven(world: World) -> None:
    """Under `hold` the key's next event waits behind a dead letter, which is written once, until it is mended."""
    order_id, other = world.order("held"), world.order("other")
    for each in (order_id, other):
        await world.start(f"order-fulfillment-{each}")
    route = (
        on(PickCompleted)
        .hold_on_poison()
        .signal(PICK_COMPLETED)
        .to("order-fulfillment-{order_id}", early=park(hours=1), late=Late.RECORD)
    )
    event_id = uuid4()
    good_value = world.codec.encode(picked(order_id))
    bad = await world.publish(picked(order_id), value=good_value[:-4], event_id=event_id)
    behind = await world.publish(picked(order_id))
    beside = await world.publish(picked(other))
    async with world.bridge([route]) as bridge:
        await world.settled(beside.event_id, "delivered")
        await world.settled(event_id, "dead_lettered")
        assert await world.outcomes(behind.event_id) == []
        assert await world.committed() == {0: 0}
        mended = ConsumedRecord(world.topic, 0, bad.offset, bad.key, good_value, bad.headers, 0)
        await bridge.handler.handle(mended, origin="redrive")
        await world.settled(behind.event_id, "delivered")
    assert [name for _, name in await world.signals(f"order-fulfillment-{order_id}")] == [
        str(event_id),
        str(behind.event_id),
    ]
    assert await world.dead_letter_count() == 1


async def test_a_flood_of_dead_letters_pauses_the_consumer(world: World) -> None:
    """Past a ratio, or past a run of them, nothing more becomes a dead letter, and the figures say so; nothing is
    lost, and after the pause it goes on."""
    for number in range(12):
        await world.publish(picked(world.order(f"k{number}")), value=b"\x00")
    breaker = BreakerOptions(window=10, minimum=5, ratio=0.5, cooldown=600)
    async with world.bridge(breaker=breaker, workers=1) as bridge:

        async def five() -> bool:
            return await world.dead_letter_count() == 5 and len(await world.ledger()) == 5

        await until(five)
        await until(lambda: bridge.registry.get_sample_value("tidegate_bridge_breaker_open") == 1)
        assert bridge.registry.get_sample_value("tidegate_bridge_breaker_opened_total") == 1
    assert await world.dead_letter_count() == 5
    assert await world.committed() == {0: 5}
    async with world.bridge(breaker=BreakerOptions(window=10, minimum=10, run=4, cooldown=0.1)):

        async def all_of_them() -> bool:
            return len({row["event_id"] for row in await world.ledger()}) == 12

        await until(all_of_them)
    assert await world.dead_letter_count() == 12


async def _is_dead_letter(
    world: World, sent: Sent, reason: Reason, *, route: str = "", workflow: str | None = None
) -> None:
    """The topic's one dead letter is this record, with all that must be said of it and none of its content."""
    assert await world.dead_letter_count() == 1
    ((record, letter),) = await world.dead_letters()
    assert (record.key, record.value) == (sent.key, sent.value)
    assert letter.record.headers == sent.headers
    assert (letter.record.topic, letter.record.offset) == (world.topic, sent.offset)
    assert (letter.reason, letter.event_id, letter.route, letter.workflow_id) == (
        reason,
        sent.event_id,
        route,
        workflow,
    )
    headers = dict(record.headers)
    assert headers["kafka_dlt-original-topic"] == world.topic.encode()
    assert headers["kafka_dlt-original-partition"] == struct.pack(">i", sent.partition)
    assert headers["kafka_dlt-original-offset"] == struct.pack(">q", sent.offset)
    assert headers["__connect.errors.topic"] == world.topic.encode()
    assert headers["__connect.errors.offset"] == str(sent.offset).encode()
    assert headers["kafka_dlt-exception-message"] == headers["__connect.errors.exception.message"]
    assert record.topic == dlq_of(world.topic)
    rows = [row for row in await world.ledger(sent.event_id) if row["outcome"] == "dead_lettered"]
    assert [(row["reason"], row["offset"]) for row in rows] == [(reason.value, sent.offset)]
