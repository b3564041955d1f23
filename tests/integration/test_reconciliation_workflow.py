"""One run of reconciliation, and of the cost watch: every kind gets its turn, owners undo, none holds up the others."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.replay import reconciliations as lives
from tests.skipping import SkippingServers
from tests.workflow_support import World, real_world, skipping_world
from workflows.activities.contracts.orders import RELEASE_INVENTORY, OrderReference
from workflows.activities.contracts.reconciliation import KINDS, Batch
from workflows.contracts.reconciliation import ReconciliationReport
from workflows.policies import OWNERS_CLOCK


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


def scanned(world: World) -> list[str]:
    """The kinds that were scanned, in order; forgets them."""
    arguments = world.contexts.arguments.pop("", [])
    return [argument.kind for name, argument in arguments if name == "Reconcile"]


async def test_every_kind_gets_its_turn(world: World, unique: str) -> None:
    """In their order, once where there is no second batch."""
    handle = await lives.found_nothing(world, unique)
    assert await handle.result() == ReconciliationReport(0, 0, 0)
    assert scanned(world) == list(KINDS)


async def test_what_is_to_be_undone_is_undone_by_its_owner_and_recorded(world: World, unique: str) -> None:
    """Each owner on his own queue, by order id and flow; each step is recorded after it was done."""
    handle = await lives.resumed_and_undone(world, unique)
    assert await handle.result() == ReconciliationReport(106, 6, 1)
    assert scanned(world) == [KINDS[0], *KINDS]
    done = world.contexts.arguments[unique]
    assert [name for name, _ in done] == [
        *("ReleaseInventory", "RecordReconciled"),
        *("CancelShipment", "RecordReconciled"),
        *("VoidAuthorization", "RecordReconciled"),
    ]
    assert done[4] == ("VoidAuthorization", OrderReference(unique, "paid"))


async def test_what_fails_is_left_for_the_next_run(world: World, unique: str) -> None:
    """The others are reconciled all the same, and the report says what was left."""
    handle = await lives.left_something_for_the_next_run(world, unique)
    report: ReconciliationReport = await handle.result()
    assert (report.resumed, len(report.failed)) == (1, 2)
    assert report.failed[0].startswith("parked_past_half: ")
    assert report.failed[1].startswith(f"reservation_without_order {unique}: ")
    assert "RecordReconciled" in world.contexts.effects(unique)
    scanned(world)


async def test_a_run_is_bounded(world: World, unique: str) -> None:
    """A kind that has no end takes no more than its batches; the position is kept for the next run."""
    handle = await lives.bounded(world, unique)
    assert (await handle.result()).candidates == 200
    assert scanned(world) == [KINDS[0], *KINDS]


async def test_the_cost_watch_says_what_was_passed(world: World, unique: str) -> None:
    """The measures of which an alert was published."""
    assert tuple(await (await lives.watched(world, unique)).result()) == ("workflows",)


async def test_an_owner_that_is_away_does_not_hold_up_the_run(
    skipping_servers: SkippingServers, unique: str
) -> None:
    """After seven attempts, or two minutes without a worker, the next kind has its turn; the next run asks again."""
    async with skipping_world(skipping_servers) as clock:

        def away(_: object) -> None:
            raise RuntimeError("the server is away")

        clock.contexts.answer(unique, RELEASE_INVENTORY, away)
        step = lives.step("reservation_without_order", "ReleaseInventory", unique)
        lives.finding(clock, {"reservation_without_order": [Batch(1, steps=(step,))]})
        handle = await lives.reconcile(clock, unique)
        report: ReconciliationReport = await handle.result()
        assert report.resumed == 0
        assert len(report.failed) == 1
        assert scanned(clock) == list(KINDS)
        scheduled = [
            event.activity_task_scheduled_event_attributes
            for event in (await handle.fetch_history()).events
            if event.HasField("activity_task_scheduled_event_attributes")
        ]
        (asked,) = [each for each in scheduled if each.activity_type.name == "ReleaseInventory"]
        assert asked.schedule_to_close_timeout.ToTimedelta() == OWNERS_CLOCK
        assert asked.task_queue.name == "ims"
