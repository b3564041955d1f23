"""Storefront and agenda on a real PostgreSQL: once, in order, repeatable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import pytest_asyncio
from sqlalchemy import text

import outbox
from services import upstream
from services.upstream import Simulation, Storefront
from services.upstream.agenda import Agenda, Noticed
from services.upstream.floor import FLOOR
from services.upstream.generator import generate_orders
from services.upstream.role import CallOff, Intent, Occurrence, Task
from tests.services_support import Database, migrated

_ROOMS = (outbox.MIGRATIONS, upstream.MIGRATIONS)
_AT_ONCE = timedelta(0)


@pytest_asyncio.fixture(loop_scope="session")
async def database(upstream_dsn: str) -> AsyncIterator[Database]:
    """A database with the tables of upstream."""
    async with migrated(upstream_dsn, _ROOMS) as opened:
        yield opened


@pytest.fixture
def agenda(database: Database) -> Agenda:
    """The agenda of the floor."""
    return Agenda(FLOOR, database.sessions, database.outbox)


def task(
    kind: str = "PickCompleted", occurrence: Occurrence = Occurrence.FIRST, after: timedelta = _AT_ONCE
) -> Task:
    """A task about order o."""
    return Task("o", kind, occurrence, after, "w")


def noticed(*intents: Intent) -> list[Noticed]:
    """What an event of a paid order made the floor intend."""
    return [Noticed(intents, "paid", "cause")]


async def test_a_task_is_reported_once(agenda: Agenda, database: Database) -> None:
    """Noted twice, due, reported once, with sequence, flow and cause."""
    for _ in range(2):
        await agenda.note(noticed(task(), task("PackCompleted")))
    assert await agenda.open() == 2
    assert await agenda.report_due() == 2
    assert await agenda.report_due() == 0
    await agenda.note(noticed(task()))
    assert await agenda.report_due() == 0
    published = await database.published()
    assert [(one.name, one.sequence) for one in published] == [("PickCompleted", 1), ("PackCompleted", 2)]
    for one in published:
        assert (one.source, one.subject, one.correlation_id) == ("/upstream/floor", "o", "o")
        assert one.extensions == {"flow": "paid"}
    assert await database.value("SELECT causation_id FROM outbox.events LIMIT 1") == "cause"


async def test_repeats_say_what_the_first_report_said(agenda: Agenda, database: Database) -> None:
    """The same event keeps its id and sequence; the same fact under a new id takes the next."""
    await agenda.note(
        noticed(
            task(),
            task(occurrence=Occurrence.AGAIN),
            task(occurrence=Occurrence.RENAMED),
            task("PackCompleted"),
        )
    )
    assert await agenda.report_due() == 4
    first, again, renamed, pack = await database.published()
    assert first == again
    assert (renamed.event, renamed.sequence) == (first.event, 2)
    assert renamed.event_id != first.event_id
    assert (pack.name, pack.sequence) == ("PackCompleted", 3)


async def test_a_repeat_waits_for_its_first_report(agenda: Agenda, database: Database) -> None:
    """A repeat that is due before the first report stays on the agenda, and copies it in a later round."""
    await agenda.note(noticed(task(occurrence=Occurrence.AGAIN), task(after=timedelta(hours=1))))
    assert await agenda.report_due() == 0
    due = await agenda.next_due()
    assert due is not None
    await _make_due(database)
    assert [await agenda.report_due() for _ in range(3)] == [1, 1, 0]
    first, again = await database.published()
    assert first == again

    await agenda.note(noticed(task("PackCompleted")))
    await agenda.report_due()
    await agenda.note(noticed(task("PackCompleted", Occurrence.RENAMED)))
    await agenda.report_due()
    *_, pack, renamed = await database.published()
    assert (pack.event, pack.sequence + 1) == (renamed.event, renamed.sequence)


async def test_what_is_called_off_is_never_reported(agenda: Agenda, database: Database) -> None:
    """Open tasks end in silence, and so do the repeats of what was never said; what was said stays said."""
    await agenda.note(noticed(task()))
    await agenda.report_due()
    await agenda.note(noticed(task("PackCompleted"), CallOff("o")))
    await agenda.note(noticed(task("PackCompleted", Occurrence.AGAIN)))
    assert await agenda.report_due() == 1
    assert await agenda.open() == 0
    assert await agenda.next_due() is None
    assert await database.names() == ["PickCompleted"]


async def test_two_processes_share_an_agenda(agenda: Agenda, database: Database) -> None:
    """Reported at once by four, each task is reported once and each order counts from one."""
    tasks = [
        Task(f"o-{number}", kind, Occurrence.FIRST, _AT_ONCE, "w")
        for number in range(300)
        for kind in ("PickCompleted", "PackCompleted")
    ]
    await agenda.note(noticed(*tasks))
    while await agenda.open():
        await asyncio.gather(*(agenda.report_due() for _ in range(4)))
    published = await database.published()
    assert len(published) == 600
    seen: dict[str, int] = {}
    for one in published:
        assert one.sequence == seen.get(one.subject, 0) + 1
        seen[one.subject] = one.sequence


async def test_an_order_is_submitted_once(database: Database) -> None:
    """A request that was submitted is not submitted again; other content under it is named."""
    storefront = Storefront(database.sessions, database.outbox)
    orders = generate_orders(1200, 1)
    told: list[int] = []
    first = await storefront.submit(orders, progress=told.append)
    assert (first.submitted, first.repeated, first.conflicts) == (1200, 0, ())
    assert told == [500, 1000, 1200]
    assert (await storefront.submit(orders[:700])).repeated == 700
    other = replace(orders[3], currency="CHF")
    later = replace(orders[4], ordered_at=orders[4].ordered_at + timedelta(days=1))
    again = await storefront.submit([other, later, *generate_orders(1, 2)])
    assert (again.submitted, again.repeated, again.conflicts) == (1, 1, (orders[3].request_id,))
    published = await database.published()
    assert [one.subject for one in published[:1200]] == [order.order_id for order in orders]
    assert {(one.name, one.source, one.sequence) for one in published} == {
        ("OrderSubmitted", "/upstream/storefront", 1)
    }
    assert await storefront.submit([]) == upstream.SubmitResult(0, 0)


async def test_one_file_submitted_by_four_at_once_is_submitted_once(database: Database) -> None:
    """Submitting in different orders at the same time neither doubles an order nor blocks."""
    storefront = Storefront(database.sessions, database.outbox)
    orders = generate_orders(300, 1)
    results = await asyncio.gather(
        *(storefront.submit(part) for part in (orders, orders[::-1], orders, orders[::-1]))
    )
    assert sum(result.submitted for result in results) == 300
    assert len(await database.published()) == 300


async def test_a_storefront_may_submit_twice(database: Database) -> None:
    """With a simulation, the same event comes again, or the same order under a new event id."""
    world = Simulation(seed=1, duplicate=1.0, duplicate_fact=1.0)
    await Storefront(database.sessions, database.outbox, world).submit(generate_orders(1, 1))
    first, again, renamed = await database.published()
    assert first == again
    assert (renamed.event, renamed.sequence) == (first.event, 2)


async def _make_due(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.execute(text("UPDATE upstream.tasks SET due_at = due_at - interval '2 hours'"))
