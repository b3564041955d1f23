"""Replay on real servers: what it says it would do, what it does, what it leaves alone, what it records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowExecutionStatus

from consumers.analytics.sink import ReceivedEvent
from consumers.errors import MissingTopicError
from consumers.replay.audit import RunRequest
from consumers.replay.runs import RunReport, as_they_are, execute, preview, selected
from consumers.replay.selection import Selection
from infra.local import Stack
from tests.analytics_support import START, history, line
from tests.replay_support import Ground, end_offsets, prepared_ground
from tests.waiting import until
from tidegate.wiring.replay import Resending, open_resending


@pytest_asyncio.fixture(loop_scope="session")
async def ground(stack: Stack, postgres_dsn: str, unique: str, tmp_path: Path) -> AsyncIterator[Ground]:
    async with prepared_ground(stack, postgres_dsn, unique, tmp_path) as ground:
        yield ground


@pytest_asyncio.fixture(loop_scope="session")
async def parts(ground: Ground) -> AsyncIterator[Resending]:
    async with open_resending(ground.settings) as parts:
        yield parts


def orders(unique: str, count: int) -> list[list[ReceivedEvent]]:
    return [history(f"{unique}-{number}", (line(),)) for number in range(count)]


async def run(
    parts: Resending, selection: Selection, stop: asyncio.Event | None = None, rate: float | None = None
) -> RunReport:
    look = parts.look
    return await execute(
        look.trail,
        parts.bridge,
        RunRequest(
            command="replay",
            topic=selection.topic,
            selection=selection.describe(),
            actor="tester@here",
            rate=rate,
        ),
        as_they_are(selected(look.source, selection, look.type_of)),
        stop or asyncio.Event(),
    )


async def dry_run(parts: Resending, selection: Selection) -> Any:
    look = parts.look
    parcels = as_they_are(selected(look.source, selection, look.type_of))
    return await preview(parts.bridge, parcels, look.type_of, asyncio.Event())


async def everything(ground: Ground, dsn: str) -> tuple[Any, ...]:
    """All that a replay could change: ledger, parked, dead letters, workflows."""
    connection = await asyncpg.connect(dsn)
    try:
        ledger = await connection.fetch("SELECT * FROM bridge.ledger ORDER BY id")
        parked = await connection.fetch("SELECT event_id, route, workflow_id FROM bridge.parked ORDER BY id")
    finally:
        await connection.close()
    letters = await end_offsets(ground.settings, f"{ground.topic}.dlq")
    return ([tuple(row) for row in ledger], [tuple(row) for row in parked], letters)


async def live(parts: Resending, ground: Ground) -> None:
    """Handle the topic as the bridge does."""
    for record in await ground.records():
        await parts.bridge.handle(record, origin="live")
    await parts.bridge.flush()


async def intake_runs(ground: Ground, unique: str) -> dict[str, str]:
    """Run id of each intake workflow of this test."""
    client = await Client.connect(ground.settings.temporal.address or "")
    found = {}
    for number in range(5):
        handle = client.get_workflow_handle(f"order-intake-{unique}-{number}")
        try:
            described = await handle.describe()
        except Exception as error:
            assert "not found" in str(error)  # noqa: PT017 - missing is an answer
            continue
        assert described.status is WorkflowExecutionStatus.RUNNING
        found[handle.id] = described.run_id or ""
    return found


async def test_replaying_everything_twice_changes_nothing(
    ground: Ground, parts: Resending, postgres_dsn: str, unique: str
) -> None:
    """Started, unrouted and dead-lettered records, all again from offset 0: ledger, letters and runs stay."""
    for told in orders(unique, 5):
        await ground.publish(told)
    await ground.publish_raw([(b"k", b"garbage", []), (b"k", b"\x00\x00\xff\xff\xffrest", [])])
    await live(parts, ground)
    before = await everything(ground, postgres_dsn), await intake_runs(ground, unique)
    assert len(before[1]) == 5
    for _ in range(2):
        report = await run(parts, Selection(topic=ground.topic, from_offset=0))
        assert report.status == "finished"
        assert report.tally.records == 22
        assert report.tally.outcomes == {"dead_lettered": 2, "duplicate": 5, "no_route": 15}
    assert (await everything(ground, postgres_dsn), await intake_runs(ground, unique)) == before


async def test_a_dry_run_says_what_the_ledger_says_and_writes_nothing(
    ground: Ground, parts: Resending, postgres_dsn: str, unique: str
) -> None:
    """Two of three submissions had their effect: the third would start; nothing is started, nothing recorded."""
    told = orders(unique, 3)
    for each in told[:2]:
        await ground.publish(each)
    await live(parts, ground)
    await ground.publish(told[2])
    await ground.publish_raw([(b"k", b"garbage", [])])
    before = await everything(ground, postgres_dsn), await intake_runs(ground, unique)
    found = await dry_run(parts, Selection(topic=ground.topic))
    assert found.records == 13
    assert dict(found.by_type["tidegate.oms.orders.OrderSubmitted"]) == {
        "records": 3,
        "start": 1,
        "nothing": 2,
    }
    assert dict(found.by_type["tidegate.oms.orders.OrderShipped"]) == {"records": 3, "no_route": 3}
    assert dict(found.by_type["(unknown)"]) == {"records": 1, "dead_letter": 1}
    assert (await everything(ground, postgres_dsn), await intake_runs(ground, unique)) == before
    assert await parts.look.trail.runs(10) == []


async def test_a_replay_delivers_what_the_bridge_never_saw_once(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """Records that no ledger entry covers are delivered by the first replay and are duplicates to the second."""
    for told in orders(unique, 4):
        await ground.publish(told)
    selection = Selection(topic=ground.topic, types=frozenset({"OrderSubmitted"}))
    first, second = await run(parts, selection), await run(parts, selection)
    assert first.tally.outcomes == {"started": 4}
    assert second.tally.outcomes == {"duplicate": 4}
    assert len(await intake_runs(ground, unique)) == 4


async def test_a_selection_narrows_by_key_time_offset_partition_and_type(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """Each bound alone and all together take exactly the records that fit; what is written later is not read."""
    told = orders(unique, 4)
    for each in told:
        await ground.publish(each)
    records = await ground.records()
    source = parts.look.source

    async def taken(selection: Selection) -> set[tuple[int, int]]:
        batches = selected(source, selection, parts.look.type_of)
        return {(record.partition, record.offset) async for batch in batches for record in batch}

    key = told[1][0].event.key
    middle = sorted(record.timestamp_ms for record in records)[7]
    moment = START.fromtimestamp(middle / 1000, tz=START.tzinfo)
    some = records[0].partition
    for selection, fits in (
        (Selection(topic=ground.topic, keys=frozenset({key})), lambda one: one.key == key.encode()),
        (Selection(topic=ground.topic, from_time=moment), lambda one: one.timestamp_ms >= middle),
        (Selection(topic=ground.topic, to_time=moment), lambda one: one.timestamp_ms < middle),
        (Selection(topic=ground.topic, from_offset=1, to_offset=3), lambda one: 1 <= one.offset < 3),
        (Selection(topic=ground.topic, partitions=frozenset({some})), lambda one: one.partition == some),
        (
            Selection(topic=ground.topic, types=frozenset({"OrderShipped"}), keys=frozenset({key})),
            lambda one: (
                one.key == key.encode() and one.header("ce_type") == "tidegate.oms.orders.OrderShipped"
            ),
        ),
        (Selection(topic=ground.topic, from_time=moment + timedelta(days=1)), lambda _: False),
    ):
        assert await taken(selection) == {(one.partition, one.offset) for one in records if fits(one)}, (
            selection
        )


async def test_a_stopped_replay_says_so_in_its_audit_row(
    ground: Ground, parts: Resending, unique: str
) -> None:
    """Stopped in the middle at two records a second: what was sent is counted, and the rest was not sent."""
    for told in orders(unique, 4):
        await ground.publish(told)
    stop = asyncio.Event()
    running = asyncio.create_task(run(parts, Selection(topic=ground.topic), stop, rate=2))

    async def begun() -> bool:
        return any(each["records"] for each in await parts.look.trail.runs(1))

    await until(begun, seconds=20, what="the audit row shows progress")
    stop.set()
    report = await running
    row = (await parts.look.trail.runs(1))[0]
    assert report.status == row["status"] == "stopped"
    assert 0 < row["records"] == report.tally.records < 16
    assert row["actor"] == "tester@here"
    assert row["selection"] == {"topic": ground.topic}
    assert row["ended_at"] is not None


async def test_an_unknown_topic_or_partition_is_named(ground: Ground, parts: Resending) -> None:
    """A replay of what is not there is the caller's mistake, said in one sentence."""
    with pytest.raises(MissingTopicError, match=r"no topic nowhere"):
        await dry_run(parts, Selection(topic="nowhere"))
    with pytest.raises(MissingTopicError, match=r"partitions 0 to 2, not 7"):
        await dry_run(parts, Selection(topic=ground.topic, partitions=frozenset({7})))
