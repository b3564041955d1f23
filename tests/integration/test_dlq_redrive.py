"""Dead letters on real servers: listed, shown, sent back once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from consumers.bridge.bridge import BridgeHandler
from consumers.bridge.delivery import Early, Late
from consumers.bridge.route import EarlyPolicy, on
from consumers.replay.audit import RunRequest
from consumers.replay.errors import NoSuchRecordError
from consumers.replay.letters import LetterCounts, LetterFilter
from consumers.replay.place import Place
from consumers.replay.redriving import Skipped, letters_to_send, remembering
from consumers.replay.runs import RunReport, execute, preview
from infra.local import Stack
from infra.topics import dlq_of
from schemas.events import OrderReserved
from tests.analytics_support import history, line
from tests.replay_support import Ground, prepared_ground, signals_of, start_workflow
from tidegate.wiring.replay import Looking, Resending, dead_letter_topics, open_resending
from workflows.contracts.orders import PICK_COMPLETED


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stack: Stack, postgres_dsn: str, unique: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with prepared_ground(stack, postgres_dsn, unique, tmp_path) as ground:
        yield ground


@pytest_asyncio.fixture(loop_scope="session")
async def parts(ground: Ground) -> AsyncIterator[Resending]:
    """A bridge that signals a workflow for OrderReserved, and calls an event that comes too early a dead letter."""
    routes = [
        on(OrderReserved)
        .signal(PICK_COMPLETED)
        .to("fulfills-{order_id}", early=EarlyPolicy(Early.DEAD_LETTER), late=Late.RECORD)
    ]
    async with open_resending(ground.settings, routes=routes) as parts:
        yield parts


async def bury_some(ground: Ground, bridge: BridgeHandler, unique: str) -> list[str]:
    """Two orders whose workflow is not there, and one record that is no event; the keys of the orders."""
    keys = []
    for number in range(2):
        told = history(f"{unique}-{number}", (line(),))
        keys.append(told[0].event.key)
        await ground.publish(told)
    await ground.publish_raw([(b"k", b"garbage", [("ce_type", b"tidegate.oms.orders.OrderReserved")])])
    for record in await ground.records():
        await bridge.handle(record, origin="live")
    await bridge.flush()
    return keys


async def redrive(
    look: Looking, bridge: BridgeHandler, topic: str, wanted: LetterFilter, *, again: bool = False
) -> tuple[RunReport, Skipped]:
    skipped = Skipped()
    box = await look.letter_box([topic])
    report = await execute(
        look.trail,
        bridge,
        RunRequest(command="redrive", topic=topic, selection=wanted.describe(), actor="tester@here"),
        letters_to_send(box, [topic], wanted, again=again, skipped=skipped),
        asyncio.Event(),
        after=remembering(look.trail),
    )
    return report, skipped


async def test_dead_letters_are_counted_listed_and_shown(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """By topic, reason, type and key; a payload that is an event is decoded, one that is none is shown in hex."""
    keys = await bury_some(ground, parts.bridge, unique)
    topic = dlq_of(ground.topic)
    box = await parts.look.letter_box([topic])
    counts = LetterCounts()
    found = []
    async for batch in box.read(topic, LetterFilter()):
        counts.add(batch)
        found += batch
    type_ = "tidegate.oms.orders.OrderReserved"
    untouched = {"redriven": 0, "discarded": 0}
    assert counts.rows() == [
        {"topic": topic, "reason": "expired", "type": type_, "letters": 2, **untouched, "open": 2},
        {"topic": topic, "reason": "undecodable", "type": type_, "letters": 1, **untouched, "open": 1},
    ]
    by_key = [
        one async for batch in box.read(topic, LetterFilter(keys=frozenset({keys[0]}))) for one in batch
    ]
    assert [one.describe()["key"] for one in by_key] == [keys[0]]
    (bad,) = [one for one in found if one.reason == "undecodable"]
    shown = await parts.look.contents(await box.one(Place.of(bad.record)))
    assert shown["payload"] == b"garbage".hex()
    good = await parts.look.contents(by_key[0])
    assert good["payload"]["order_id"] == keys[0]
    assert good["sentence"] == "the workflow did not appear before the event's deadline"
    with pytest.raises(NoSuchRecordError, match=r":0:99999"):
        await box.one(Place(topic, 0, 99999))
    assert await dead_letter_topics(ground.settings.kafka, ground.topic) == [topic]


async def test_a_letter_is_sent_back_once_and_left_out_the_second_time(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """One signal in the workflow, whether it is redriven once, again, or again by force."""
    keys = await bury_some(ground, parts.bridge, unique)
    workflow = await start_workflow(ground, keys[0])
    topic = dlq_of(ground.topic)
    wanted = LetterFilter(reasons=frozenset({"expired"}), keys=frozenset({keys[0]}))
    first, _ = await redrive(parts.look, parts.bridge, topic, wanted)
    second, skipped = await redrive(parts.look, parts.bridge, topic, wanted)
    forced, _ = await redrive(parts.look, parts.bridge, topic, wanted, again=True)
    assert dict(first.tally.outcomes) == {"delivered": 1}
    assert (second.tally.records, skipped.redriven_before) == (0, 1)
    assert dict(forced.tally.outcomes) == {"duplicate": 1}
    assert await signals_of(workflow) == 1
    runs = await parts.look.trail.runs(10)
    assert [(run["command"], run["status"], run["records"]) for run in runs] == [
        ("redrive", "finished", 1),
        ("redrive", "finished", 0),
        ("redrive", "finished", 1),
    ]


async def test_a_letter_that_dies_again_can_be_sent_back_again(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """Redriven before its workflow was there, it is a dead letter still; redriven after, it is delivered."""
    keys = await bury_some(ground, parts.bridge, unique)
    topic = dlq_of(ground.topic)
    wanted = LetterFilter(keys=frozenset({keys[1]}))
    too_early, _ = await redrive(parts.look, parts.bridge, topic, wanted)
    workflow = await start_workflow(ground, keys[1])
    mended, skipped = await redrive(parts.look, parts.bridge, topic, wanted)
    assert dict(too_early.tally.outcomes) == {"dead_lettered": 1}
    assert dict(mended.tally.outcomes) == {"delivered": 1}
    assert skipped.redriven_before == 0
    assert await signals_of(workflow) == 1


async def test_a_dry_redrive_sends_and_records_nothing(ground: Ground, parts: Resending, unique: str) -> None:
    """It says what each letter would do."""
    keys = await bury_some(ground, parts.bridge, unique)
    workflow = await start_workflow(ground, keys[0])
    topic = dlq_of(ground.topic)
    box = await parts.look.letter_box([topic])
    parcels = letters_to_send(box, [topic], LetterFilter(), again=False, skipped=Skipped())
    found = await preview(parts.bridge, parcels, parts.look.type_of, asyncio.Event())
    assert dict(found.by_type["tidegate.oms.orders.OrderReserved"]) == {
        "records": 3,
        "signal": 2,
        "dead_letter": 1,
    }
    assert await signals_of(workflow) == 0
    assert await parts.look.trail.runs(10) == []
