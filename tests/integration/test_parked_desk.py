"""Events that wait for their workflow, and what people do about them: shown, tried now, given up, given more time."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest_asyncio

from consumers.bridge.delivery import Late
from consumers.bridge.parking import Parking
from consumers.bridge.route import on, park
from consumers.replay.audit import RunRequest
from consumers.replay.parked import ParkedDesk, ParkedFilter, Waiting, queues_of
from consumers.runtime.record import ConsumedRecord
from infra.local import Stack
from schemas.events import OrderReserved
from tests.analytics_support import history, line
from tests.forked import fork_tidegate
from tests.replay_support import Ground, prepared_ground, signals_of, start_workflow
from tidegate.wiring.bridge import Bridge, open_bridge
from tidegate.wiring.parked import open_desk
from workflows.contracts.orders import PICK_COMPLETED

ROUTE = (
    on(OrderReserved).signal(PICK_COMPLETED).to("fulfills-{order_id}", early=park(hours=1), late=Late.RECORD)
)


@dataclass(frozen=True, slots=True)
class Waits:
    """Where events wait: a bridge that does not look by itself, the desk, and the database."""

    ground: Ground
    bridge: Bridge
    desk: ParkedDesk
    pool: asyncpg.Pool

    async def park(self, order_id: str, count: int) -> list[ConsumedRecord]:
        """Park ``count`` events of one order; their records, in order."""
        told = history(order_id, (line(),))[2]
        assert isinstance(told.event, OrderReserved)
        events = [
            replace(
                told.event, order_id=order_id, reserved_at=told.event.reserved_at + timedelta(minutes=number)
            )
            for number in range(count)
        ]
        await self.ground.publish_raw(
            [
                (
                    order_id.encode(),
                    self.ground.codec.encode(event),
                    replace(told.envelope, id=UUID(int=hash((order_id, number)) % 2**128)).to_headers(),
                )
                for number, event in enumerate(events)
            ]
        )
        records = [each for each in await self.ground.records() if each.key == order_id.encode()]
        for record in records:
            (delivered,) = await self.bridge.handler.handle(record, origin="live")
            assert delivered.outcome.value == "parked"
        return records

    async def waiting(self, **wanted: Any) -> list[Waiting]:
        """The events that wait and fit."""
        return await self.desk.find(ParkedFilter(**wanted))

    async def ledger(self) -> list[tuple[UUID, str, str]]:
        """Event, outcome and origin of each entry behind the parking, in order."""
        rows = await self.pool.fetch(
            "SELECT event_id, outcome, origin FROM bridge.ledger WHERE outcome <> 'parked' ORDER BY id"
        )
        return [(row["event_id"], row["outcome"], row["origin"]) for row in rows]


def request(command: Any, rate: float | None = None) -> RunRequest:
    """A run of a test."""
    return RunRequest(command=command, topic="bridge.parked", selection={}, actor="tester@here", rate=rate)


@asynccontextmanager
async def bridge_and_desk(ground: Ground, dsn: str) -> AsyncIterator[Waits]:
    async with (
        open_bridge(ground.settings, routes=[ROUTE]) as bridge,
        open_desk(ground.settings) as desk,
        asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool,
    ):
        yield Waits(ground, bridge, desk, pool)


@pytest_asyncio.fixture(loop_scope="session")
async def waits(stack: Stack, postgres_dsn: str, unique: str, tmp_path: Path) -> AsyncIterator[Waits]:
    async with (
        prepared_ground(stack, postgres_dsn, unique, tmp_path) as ground,
        bridge_and_desk(ground, postgres_dsn) as waits,
    ):
        yield waits


async def test_release_keeps_the_order_of_a_workflow(waits: Waits, unique: str) -> None:
    """What waits before a released event goes with it, what waits behind does not; one whose workflow is not there goes
    on waiting, and is a dead letter past its deadline."""
    records = await waits.park(unique, 3)
    await waits.park(f"{unique}-other", 2)
    second = (await waits.waiting(workflows=frozenset({f"fulfills-{unique}"})))[1]
    assert (second.ahead, second.behind) == (1, 1)
    workflow = await start_workflow(waits.ground, unique)
    queues = queues_of([second, *await waits.waiting(keys=frozenset({f"{unique}-other"}))])
    assert [(queue.selected, queue.ahead) for queue in queues] == [(1, 1), (2, 0)]
    report = await waits.desk.release(
        request("release"), queues, waits.bridge.unparker, asyncio.Event(), lambda _: None
    )
    assert dict(report.tally.outcomes) == {"delivered": 2, "waiting": 2}
    assert await signals_of(workflow) == 2
    ids = [UUID(record.header("ce_id") or "") for record in records]
    assert await waits.ledger() == [(ids[0], "delivered", "parked"), (ids[1], "delivered", "parked")]
    left = await waits.waiting()
    assert [each.event_id for each in left][:1] == [ids[2]]
    await waits.pool.execute(
        "UPDATE bridge.parked SET deadline = now() WHERE key = $1", f"{unique}-other".encode()
    )
    report = await waits.desk.release(
        request("release"),
        queues_of(await waits.waiting(types=frozenset({"OrderReserved"}), routes=frozenset({ROUTE.name}))),
        waits.bridge.unparker,
        asyncio.Event(),
        lambda _: None,
    )
    assert dict(report.tally.outcomes) == {"dead_lettered": 2, "delivered": 1}
    assert await waits.waiting() == []


async def test_a_dropped_event_is_gone_and_those_behind_move_up(
    waits: Waits, postgres_dsn: str, unique: str
) -> None:
    """The ledger says discarded, no replay delivers it, and the rest of its queue arrives without it, in order; a stop
    stops between two events; it is all on record."""
    records = await waits.park(unique, 4)
    ids = [UUID(record.header("ce_id") or "") for record in records]
    events = await waits.waiting(events=frozenset(ids[:2]))
    assert [(each.ahead, each.behind) for each in events] == [(0, 3), (1, 2)]
    stop = asyncio.Event()
    report = await waits.desk.drop(request("drop"), events, stop, lambda _: stop.set())
    assert (report.status, dict(report.tally.outcomes)) == ("stopped", {"discarded": 1})
    report = await waits.desk.drop(request("drop"), events, asyncio.Event(), lambda _: None)
    assert (report.status, dict(report.tally.outcomes)) == ("finished", {"discarded": 1, "gone": 1})
    workflow = await start_workflow(waits.ground, unique)
    assert await waits.bridge.unparker.look() == 2
    assert await waits.ledger() == [
        (ids[0], "discarded", "parked"),
        (ids[1], "discarded", "parked"),
        (ids[2], "delivered", "parked"),
        (ids[3], "delivered", "parked"),
    ]
    (again,) = await waits.bridge.handler.handle(records[0], origin="replay")
    assert again.outcome.value == "duplicate"
    assert await signals_of(workflow) == 2
    rows = await waits.pool.fetch("SELECT command, status, actor FROM replay.runs ORDER BY started_at")
    assert [tuple(row) for row in rows] == [
        ("drop", "stopped", "tester@here"),
        ("drop", "finished", "tester@here"),
    ]


async def test_two_bridges_deliver_a_queue_once_and_in_order(
    waits: Waits, postgres_dsn: str, unique: str
) -> None:
    """Both look at the same workflows at the same time: each event is delivered by one of them, in its order, and what
    one bridge has parked is not overtaken by what another reads next."""
    orders = [f"{unique}-{number}" for number in range(3)]
    parked = {order_id: await waits.park(order_id, 6) for order_id in orders}
    async with open_bridge(waits.ground.settings, routes=[ROUTE]) as other:
        workflows = [await start_workflow(waits.ground, order_id) for order_id in orders]
        event, envelope = history("next", (line(),))[2].event, history("next", (line(),))[2].envelope
        assert isinstance(event, OrderReserved)
        value = waits.ground.codec.encode(replace(event, order_id=orders[0]))
        last = replace(parked[orders[0]][-1], value=value, headers=tuple(envelope.to_headers()), offset=10**6)
        (behind,) = await other.handler.handle(last, origin="live")
        assert behind.outcome.value == "parked"
        while await waits.waiting():
            await asyncio.gather(waits.bridge.unparker.look(), other.unparker.look())
    assert [await signals_of(workflow) for workflow in workflows] == [7, 6, 6]
    entries = await waits.ledger()
    assert len(entries) == 19
    for order_id in orders:
        ids = [UUID(record.header("ce_id") or "") for record in parked[order_id]]
        ids += [envelope.id] if order_id == orders[0] else []
        assert [
            event_id for event_id, outcome, _ in entries if event_id in ids and outcome == "delivered"
        ] == ids


async def test_more_time_counts_from_now_where_the_deadline_has_passed(waits: Waits, unique: str) -> None:
    """An event past its deadline has all of the time that it is given; another has it on top of what it had."""
    await waits.park(unique, 2)
    late, early = await waits.waiting()
    await waits.pool.execute(
        "UPDATE bridge.parked SET deadline = now() - interval '1 day' WHERE id = $1", late.id
    )
    events = await waits.waiting()
    assert [each.expired for each in events] == [True, False]
    report = await waits.desk.extend(
        request("extend"), events, timedelta(hours=2), asyncio.Event(), lambda _: None
    )
    assert dict(report.tally.outcomes) == {"extended": 2}
    late, early = await waits.waiting()
    assert not late.expired
    assert late.deadline - late.parked_at < timedelta(hours=3)
    assert early.deadline - early.parked_at == timedelta(hours=3)


async def test_few_are_looked_at_every_time_and_many_in_turn(waits: Waits, unique: str) -> None:
    """A workflow that has been awaited for an hour is still looked at each second while few are; of many, nobody's turn
    never comes."""
    await waits.park(unique, 1)
    await waits.pool.execute("UPDATE bridge.parked SET parked_at = now() - interval '1 hour'")
    parking = Parking(waits.pool)
    await parking.refresh()
    (only,) = parking.due(0.0)
    parking.postpone(only, 0.0)
    assert parking.due(1.0) == [only]
    await waits.pool.execute(
        """
        INSERT INTO bridge.parked (event_id, event_type, route, workflow_id, topic, partition, "offset", timestamp_ms,
                                   header_names, header_values, origin, parked_at, deadline)
        SELECT gen_random_uuid(), 't', 'r', 'w' || n, 't', 0, n, 0, '{}', '{}', 'live',
               now() - interval '1 hour', now() + interval '1 hour'
        FROM generate_series(1, 60) AS n
        """
    )
    await parking.refresh()
    looked: set[str] = set()
    for second in range(1, 9):
        due = parking.due(float(second))
        assert second == 1 or len(due) == 20
        looked.update(due)
        for workflow_id in due:
            parking.postpone(workflow_id, float(second))
    assert len(looked) == 61


async def test_the_commands_in_one_go(waits: Waits, unique: str) -> None:
    """show, release and drop as people type them: dry first, then done, in one line where it is wrong."""
    records = await waits.park(unique, 2)
    event_id = records[0].header("ce_id") or ""

    async def tidegate(*words: str, status: int = 0) -> Any:
        process = await fork_tidegate(*words, environment={**os.environ, **waits.ground.environment()})
        out, err = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == status, err.decode()
        return json.loads(out) if status == 0 else err.decode()

    (shown,) = (await tidegate("parked", "show", event_id, "--json"))["parked"]
    assert (shown["why"], shown["payload"]["order_id"]) == ("its workflow does not exist yet", unique)
    dry = await tidegate("parked", "release", event_id, "--json")
    assert [(row["workflow"], row["would"]) for row in dry["workflows"]] == [
        ("missing", "leave them waiting: the workflow is not there")
    ]
    drop: Sequence[str] = ("parked", "drop", "--workflow", f"fulfills-{unique}", "--limit", "1", "--json")
    dry = await tidegate(*drop)
    assert [(one["event_id"], one["behind"]) for one in dry["parked"]] == [(event_id, 1)]
    did = await tidegate(*drop, "--execute", "--note", "a test")
    assert did["outcomes"] == {"discarded": 1}
    assert [str(one.event_id) for one in await waits.waiting()] == [records[1].header("ce_id")]
    error = await tidegate("parked", "drop", status=2)
    assert error.splitlines() == [
        "tidegate: which events? name them, narrow them with an option, or say --all"
    ]
