"""Dead letters mended and given up, on real servers: under the same identity, once, and with nothing lost."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from consumers.bridge.delivery import Early, Late
from consumers.bridge.route import EarlyPolicy, on
from consumers.errors import KeyWaitsError
from consumers.replay.audit import RunRequest
from consumers.replay.editing import publish_and_redrive
from consumers.replay.errors import InvalidEditError
from consumers.replay.fields import Assignment
from consumers.replay.letters import FoundLetter, LetterCounts, LetterFilter
from consumers.replay.mending import Mended, draft_of, mend
from consumers.replay.place import Place
from consumers.replay.redriving import Skipped, letters_to_discard, letters_to_send, remembering
from consumers.replay.runs import RunReport, execute, preview
from consumers.runtime.record import ConsumedRecord
from infra.local import Stack
from infra.topics import dlq_of
from schemas.events import OrderReserved
from tests.analytics_support import history, line
from tests.forked import fork_tidegate
from tests.replay_support import Ground, prepared_ground, signals_of, start_workflow
from tidegate.wiring.replay import Resending, open_resending
from workflows.contracts.orders import PICK_COMPLETED

ROUTE = (
    on(OrderReserved)
    .hold_on_poison()
    .signal(PICK_COMPLETED)
    .to("fulfills-{order_id}", early=EarlyPolicy(Early.DEAD_LETTER), late=Late.RECORD)
)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stack: Stack, postgres_dsn: str, unique: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with prepared_ground(stack, postgres_dsn, unique, tmp_path) as ground:
        yield ground


@pytest_asyncio.fixture(loop_scope="session")
async def parts(ground: Ground) -> AsyncIterator[Resending]:
    """A bridge that signals a workflow for OrderReserved; a bad one holds its key."""
    async with open_resending(ground.settings, routes=[ROUTE]) as parts:
        yield parts


async def bury(ground: Ground, parts: Resending, order_id: str, spoil: Any = lambda value: value) -> None:
    """Put an OrderReserved with a spoilt value into the topic, and let the bridge make it a dead letter."""
    event, envelope = reserved(order_id)
    await ground.publish_raw([(order_id.encode(), spoil(ground.codec.encode(event)), envelope.to_headers())])
    (record,) = [each for each in await ground.records() if each.key == order_id.encode()]
    with pytest.raises(KeyWaitsError):
        await parts.bridge.handle(record, origin="live")
    await parts.bridge.flush()


def reserved(request_id: str) -> Any:
    """An event of the order, and its envelope; the order's id is ``request_id``."""
    told = history(request_id, (line(),))[2]
    assert isinstance(told.event, OrderReserved)
    return replace(told.event, order_id=request_id), replace(told.envelope, subject=request_id)


async def letters(ground: Ground, parts: Resending, **wanted: Any) -> list[FoundLetter]:
    """The dead letters that fit."""
    topic = dlq_of(ground.topic)
    box = await parts.look.letter_box([topic])
    return [one async for batch in box.read(topic, LetterFilter(**wanted)) for one in batch]


async def mended(parts: Resending, found: FoundLetter, *written: str, **given: Any) -> Mended:
    """``found`` with these assignments."""
    draft = await draft_of(found, parts.look.codec, parts.look.lookup, given.pop("type_", None))
    return mend(
        found,
        draft,
        given.pop("fields", None),
        [Assignment.parse(each) for each in written],
        given,
        codec=parts.look.codec,
        reader=parts.reader,
        actor="tester@here",
        now=datetime.now(UTC),
    )


async def edit(ground: Ground, parts: Resending, found: FoundLetter, made: Mended) -> RunReport:
    """Publish and redrive."""
    return await publish_and_redrive(
        RunRequest(command="edit", topic=dlq_of(ground.topic), selection={}, actor="tester@here"),
        found,
        made,
        dead_letters=parts.dead_letters,
        bridge=parts.bridge,
        trail=parts.look.trail,
        stop=asyncio.Event(),
    )


async def discard(
    ground: Ground, parts: Resending, wanted: LetterFilter, limit: int | None = None
) -> RunReport:
    """Give up the letters that fit."""
    topic = dlq_of(ground.topic)
    box = await parts.look.letter_box([topic])
    return await execute(
        parts.look.trail,
        parts.discarder,
        RunRequest(command="discard", topic=topic, selection=wanted.describe(), actor="tester@here"),
        letters_to_discard(box, [topic], wanted, skipped=Skipped(), limit=limit),
        asyncio.Event(),
        after=remembering(parts.look.trail),
    )


async def live(parts: Resending, record: ConsumedRecord) -> list[str]:
    """What comes of the record where it is read from its topic; KeyWaitsError while it holds its key."""
    return [one.outcome.value for one in await parts.bridge.handle(record, origin="live")]


async def ledger(dsn: str) -> list[tuple[str, str, str, int]]:
    """Route, outcome, origin and offset of every entry."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch(
            'SELECT route, outcome, origin, "offset" FROM bridge.ledger ORDER BY id'
        )
    finally:
        await connection.close()
    return [tuple(row) for row in rows]


async def test_an_undecodable_letter_is_mended_and_delivered_once(
    ground: Ground, parts: Resending, unique: str, postgres_dsn: str
) -> None:
    """It needs all its fields; then it is a letter of its own beside the first, is delivered under the id and the
    coordinates of what was sent, and neither letter is delivered again. The key that was held goes on."""
    await bury(ground, parts, unique, lambda value: value[:-3])
    workflow = await start_workflow(ground, unique)
    (found,) = await letters(ground, parts)
    sent = found.record
    with pytest.raises(InvalidEditError, match=r"field order_id is missing; what was sent cannot be read"):
        await mended(parts, found, "reserved_at=2026-11-01T12:00:00Z")
    made = await mended(parts, found, fields={"order_id": unique, "reserved_at": "2026-11-01T12:00:00Z"})
    assert [change.field for change in made.changes] == ["reserved_at", "value"]
    report = await edit(ground, parts, found, made)
    assert (report.status, dict(report.tally.outcomes)) == ("finished", {"delivered": 1})
    first, second = sorted(await letters(ground, parts), key=lambda one: one.record.offset)
    assert (first.record, first.done, second.done) == (sent, "edited", "delivered")
    assert (second.edited_from, second.record.header("tidegate-edited-by")) == (
        str(Place.of(sent)),
        "tester@here",
    )
    assert found.letter is not None
    assert second.letter is not None
    assert second.letter.event_id == found.letter.event_id
    assert second.letter.record.coordinates == found.letter.record.coordinates
    again = await redrive(ground, parts)
    forced = await redrive(ground, parts, again=True)
    assert (again.tally.records, dict(forced.tally.outcomes)) == (0, {"duplicate": 2})
    assert await signals_of(workflow) == 1
    assert [entry[1] for entry in await ledger(postgres_dsn)] == ["dead_lettered", "delivered"]
    assert await live(parts, found.letter.record) == ["duplicate"]  # the key is free


async def redrive(
    ground: Ground, parts: Resending, *, again: bool = False, limit: int | None = None
) -> RunReport:
    """Send back what is open."""
    topic = dlq_of(ground.topic)
    box = await parts.look.letter_box([topic])
    return await execute(
        parts.look.trail,
        parts.bridge,
        RunRequest(command="redrive", topic=topic, selection={}, actor="tester@here"),
        letters_to_send(box, [topic], LetterFilter(), again=again, skipped=Skipped(), limit=limit),
        asyncio.Event(),
        after=remembering(parts.look.trail),
    )


async def test_a_mended_letter_that_dies_again_is_not_lost(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """The workflow is not there yet: what was mended stands in the dead-letter topic and is sent back later."""
    await bury(ground, parts, unique)  # early, and its route says: dead letter
    (found,) = await letters(ground, parts)
    with pytest.raises(InvalidEditError, match="that changes nothing: `tidegate dlq redrive"):
        await mended(parts, found, f"order_id={unique}")
    with pytest.raises(InvalidEditError, match="the header ce_id stays"):
        await mended(parts, found, ce_id="other")
    made = await mended(parts, found, "reserved_at=2026-11-01T12:00:00Z", ce_flow="")
    assert [(change.field, change.after) for change in made.changes] == [
        ("reserved_at", "2026-11-01T12:00:00.000000Z"),
        ("header ce_flow", None),
    ]
    report = await edit(ground, parts, found, made)
    assert dict(report.tally.outcomes) == {"dead_lettered": 1}
    (still,) = await letters(ground, parts, undone=True)
    assert still.edited_from == str(Place.of(found.record))
    workflow = await start_workflow(ground, unique)
    report = await redrive(ground, parts)
    assert dict(report.tally.outcomes) == {"delivered": 1}
    assert await signals_of(workflow) == 1
    runs = await parts.look.trail.runs(5)
    assert [(run["command"], run["outcomes"]) for run in runs] == [
        ("redrive", {"delivered": 1}),
        ("edit", {"dead_lettered": 1}),
    ]


async def test_a_letter_of_a_type_that_nobody_knows_becomes_one_that_is_known(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """The headers say one type and the value is another: the person says which; the header follows."""
    event, envelope = reserved(unique)
    headers = replace(envelope, type="somebody.else.Happened").to_headers()
    await ground.publish_raw([(unique.encode(), ground.codec.encode(event), headers)])
    await parts.bridge.handle((await ground.records())[-1], origin="live")
    await parts.bridge.flush()
    (found,) = await letters(ground, parts)
    with pytest.raises(InvalidEditError, match="say which it is to be with --type"):
        await mended(parts, found)
    made = await mended(parts, found, type_="OrderReserved")
    assert [(change.field, change.after) for change in made.changes] == [("header ce_type", event.TYPE)]
    assert made.letter.event_id == envelope.id
    await start_workflow(ground, unique)
    report = await edit(ground, parts, found, made)
    assert dict(report.tally.outcomes) == {"delivered": 1}


async def test_discarded_is_for_good_on_every_route(
    ground: Ground, parts: Resending, unique: str, postgres_dsn: str
) -> None:
    """First it is said, then done, so many and no more: the ledger says so of the letter and of the route that would
    have wanted it, the key goes on, and neither redrive nor replay delivers it; what is left is left."""
    before = datetime.now(UTC)
    for number in range(3):
        await bury(ground, parts, f"{unique}-{number}", lambda value: value + b"\x00")
    topic = dlq_of(ground.topic)
    box = await parts.look.letter_box([topic])
    wanted = LetterFilter(reasons=frozenset({"undecodable"}), from_time=before - timedelta(seconds=1))
    parcels = letters_to_discard(box, [topic], wanted, skipped=Skipped())
    would = await preview(parts.discarder, parcels, parts.look.type_of, asyncio.Event())
    assert dict(would.by_type[OrderReserved.TYPE]) == {"records": 3, "discard": 6}
    assert await letters(ground, parts, to_time=before - timedelta(seconds=1)) == []
    assert (await parts.look.trail.runs(1)) == []
    report = await discard(ground, parts, wanted, limit=2)
    assert (report.tally.records, dict(report.tally.outcomes)) == (2, {"discarded": 4})
    assert sum(place[1] in {"discarded"} for place in await ledger(postgres_dsn)) == 4
    counts = LetterCounts()
    found = await letters(ground, parts)
    counts.add(found)
    (row,) = counts.rows()
    assert (row["letters"], row["open"], row["discarded"], row["redriven"]) == (3, 1, 2, 0)
    gone = [one.letter.record for one in found if one.done == "discarded" and one.letter]
    handles = [await start_workflow(ground, record.key.decode()) for record in gone if record.key]
    for record in gone:
        assert await live(parts, record) == ["duplicate"]  # its key is free
        sound = mended_value(ground, record)
        (now,) = await parts.bridge.handle(sound, origin="replay")
        assert now.outcome.value == "duplicate"
    assert [await signals_of(handle) for handle in handles] == [0, 0]
    assert {entry[0] for entry in await ledger(postgres_dsn) if entry[1] == "discarded"} == {"", ROUTE.name}


def mended_value(ground: Ground, record: ConsumedRecord) -> ConsumedRecord:
    """The record as it would have been."""
    assert record.key is not None
    return replace(record, value=ground.codec.encode(reserved(record.key.decode())[0]))


async def test_the_commands_in_one_go(ground: Ground, parts: Resending, unique: str, tmp_path: Path) -> None:
    """list, show, edit and discard as people type them: one letter by its place, dry first, then done."""
    for number in range(2):
        await bury(ground, parts, f"{unique}-{number}", lambda value: value[:-3])
    first, second = sorted(
        await letters(ground, parts), key=lambda one: str(one.letter and one.letter.record.key)
    )
    places = [str(Place.of(one.record)) for one in (first, second)]

    async def tidegate(*words: str) -> dict[str, Any]:
        process = await fork_tidegate(*words, "--json", environment={**os.environ, **ground.environment()})
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, err.decode()
        answer: dict[str, Any] = json.loads(out)
        return answer

    shown = await tidegate("dlq", "show", places[0])
    assert shown["partial"] == {"order_id": f"{unique}-0"}
    assert shown["fault"].startswith("field reserved_at, at byte ")
    fields = tmp_path / "mended.json"
    fields.write_text(json.dumps({**shown["partial"], "reserved_at": "2026-11-01T12:00:00Z"}))
    words = ("dlq", "edit", places[0], "--file", str(fields))
    dry = await tidegate(*words)
    assert (dry["dry_run"], dry["event_id"]) == (True, shown["event_id"])
    assert [change["field"] for change in dry["changes"]] == ["reserved_at", "value"]
    done = await tidegate(*words, "--execute", "--note", "cut by a proxy")
    assert done["status"] == "finished"
    told = ("dlq", "discard", places[1], "--note", "twice")
    did = await tidegate(*told, "--execute")
    partition, _, offset = places[1].rpartition(":")
    assert (did["records"], did["reached"]) == (1, {partition: int(offset)})
    listed = await tidegate("dlq", "list", ground.topic, "--from-time", "1h")
    by_place = {one["place"]: one["done"] for one in listed["letters"]}
    assert [by_place[place] for place in places] == ["edited", "discarded"]
    assert [(run["command"], run["selection"].get("note")) for run in await parts.look.trail.runs(5)] == [
        ("discard", "twice"),
        ("edit", "cut by a proxy"),
    ]
