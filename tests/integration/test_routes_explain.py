"""`tidegate routes --explain` against real servers: what it says is what then happens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from consumers.bridge.evidence import Witnesses
from consumers.bridge.explaining import Explanation, explain
from consumers.bridge.stated import stated_in_record
from consumers.errors import MissingTopicError
from consumers.replay.errors import NoSuchRecordError
from consumers.runtime.record import ConsumedRecord
from infra.settings import PostgresSettings, TemporalSettings
from schemas.events import OrderConfirmed
from tests.bridge_support import NOW, Sent, World, packed, picked
from tests.integration.test_delivery_outcomes import submitted
from tidegate.wiring.bridge import Bridge, open_bridge
from tidegate.wiring.explaining import explain_event


@pytest.fixture
def world(bridge_surroundings: World) -> World:
    """A topic of one partition."""
    return bridge_surroundings


async def said(world: World, bridge: Bridge, sent: Sent) -> Explanation:
    """What would happen to the record."""
    record = ConsumedRecord(world.topic, 0, sent.offset, sent.key, sent.value, sent.headers, 0)
    stated = await stated_in_record(record, bridge.reader, bridge.table)
    return await explain(stated, bridge.table, Witnesses(world.pool, bridge.temporal))


def would(found: Explanation) -> str:
    """In one word."""
    return found.verdict.would if found.verdict else found.routes[0].verdict.would


HAPPENS = {
    "signal": ["delivered"],
    "start": ["started"],
    "park": ["parked"],
    "record": ["late"],
    "dead_letter": ["dead_lettered"],
    "nothing": [],
}


async def test_what_is_said_is_what_happens(world: World) -> None:
    """For each verdict there is: the bridge, left to itself, does just that; and afterwards it is said that it did."""
    running, closed, missing = world.order("running"), world.order("closed"), world.order("missing")
    for order_id in (running, closed):
        await world.start(f"order-fulfillment-{order_id}")
    await world.terminate(f"order-fulfillment-{closed}")
    sent = {
        "signal": await world.publish(picked(running)),
        "park": await world.publish(picked(missing)),
        "record": await world.publish(picked(closed)),
        "start": await world.publish(submitted(world.order("new"))),
        "dead_letter": await world.publish(picked(running), value=b"\x00garbage"),
        "nothing": await world.publish(OrderConfirmed(order_id=running, confirmed_at=NOW), value=b"?"),
    }
    behind = await world.publish(packed(missing))
    async with open_bridge(world.settings) as idle:
        before = {name: await said(world, idle, each) for name, each in sent.items()}
    assert {name: would(found) for name, found in before.items()} == {name: name for name in sent}
    assert await world.ledger() == []
    async with world.bridge() as bridge:
        await world.settled(behind.event_id, "parked")
        await world.settled(sent["dead_letter"].event_id, "dead_lettered")
        for name, each in sent.items():
            if name != "nothing":
                await world.settled(each.event_id, HAPPENS[name][0])
        after = {name: await said(world, bridge, each) for name, each in sent.items()}
        later = await said(world, bridge, behind)
    assert {name: await world.outcomes(each.event_id) for name, each in sent.items()} == HAPPENS
    assert {name: would(found) for name, found in after.items()} == {
        "signal": "nothing",
        "park": "park",
        "record": "nothing",
        "start": "nothing",
        "dead_letter": "dead_letter",
        "nothing": "nothing",
    }
    assert "it is parked until" in after["park"].routes[0].verdict.why
    assert [each.outcome.value for each in after["dead_letter"].outcomes or ()] == ["dead_lettered"]
    assert (would(later), later.routes[0].evidence.ahead) == ("park", 1)


async def test_a_place_and_a_file_are_explained(world: World, tmp_path: Path) -> None:
    """By place in its topic, by place in the dead-letter topic, and from a file that only knows the event's id."""
    order_id = world.order("place")
    await world.start(f"order-fulfillment-{order_id}")
    good = await world.publish(picked(order_id))
    bad = await world.publish(picked(order_id), value=b"\x00")
    async with world.bridge():
        await world.settled(bad.event_id, "dead_lettered")
        await world.settled(good.event_id, "delivered")
    found, silent = await explain_event(world.settings, f"{world.topic}:0:{good.offset}")
    assert (would(found), silent) == ("nothing", [])
    letter, _ = await explain_event(world.settings, f"{world.topic}.dlq:0:0")
    assert (would(letter), letter.stated.place) == ("dead_letter", f"{world.topic}[0]@{bad.offset}")
    file = tmp_path / "event.json"
    file.write_text(
        json.dumps({"type": "PickCompleted", "id": str(good.event_id), **picked(order_id).to_json()})
    )
    by_file, _ = await explain_event(world.settings, str(file))
    assert by_file.to_json()["routes"] == found.to_json()["routes"]
    away = world.settings.model_copy(
        update={
            "postgres": PostgresSettings(),
            "temporal": TemporalSettings(address=world.settings.temporal.address, namespace="no-such"),
        }
    )
    less, silent = await explain_event(away, str(file))
    assert [sentence.split(":")[0] for sentence in silent] == ["no PostgreSQL address"]
    assert less.to_json()["routes"][0]["workflow"] == "unknown"
    with pytest.raises(NoSuchRecordError, match="no record stands at"):
        await explain_event(world.settings, f"{world.topic}:0:99")
    with pytest.raises(MissingTopicError):
        await explain_event(world.settings, "no-such-topic:0:0")
