"""Each row of the outcome table (design §6), on a real broker, a real Temporal and a real database."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal
from uuid import uuid4

import pytest

from consumers.runtime.record import ConsumedRecord
from schemas.events import (
    InventoryAllocated,
    OrderConfirmed,
    OrderLine,
    OrderSubmitted,
)
from tests.bridge_support import NOW, World, cancel_requested, packed, picked
from tests.waiting import until


@pytest.fixture
def world(bridge_surroundings: World) -> World:
    """A topic of one partition."""
    return bridge_surroundings


def submitted(order_id: str) -> OrderSubmitted:
    """An order of one line."""
    line = OrderLine(sku="A-1", quantity=2, unit_price=Decimal("9.99"), discount=Decimal("0.1500"))
    return OrderSubmitted(
        order_id=order_id,
        request_id=order_id,
        customer_id="c-1",
        currency="EUR",
        ordered_at=NOW,
        lines=(line,),
    )


async def test_signals_reach_a_running_workflow_in_order(world: World) -> None:
    """Events of one key are signalled in their order, with the event id in the header and one ledger row each."""
    workflow_id = f"order-fulfillment-{world.order('a')}"
    await world.start(workflow_id)
    async with world.bridge():
        first = await world.publish(picked(world.order("a")))
        second = await world.publish(packed(world.order("a")))
        await world.settled(second.event_id, "delivered")
    assert await world.signals(workflow_id) == [
        ("PickCompleted", str(first.event_id)),
        ("PackCompleted", str(second.event_id)),
    ]
    rows = await world.ledger()
    assert [(row["outcome"], row["workflow_id"], row["offset"], row["delivery"]) for row in rows] == [
        ("delivered", workflow_id, first.offset, 1),
        ("delivered", workflow_id, second.offset, 1),
    ]
    assert await world.committed() == {0: second.offset + 1}


async def test_an_event_starts_its_workflow_once(world: World) -> None:
    """The first event starts the workflow; another event for the same id is recorded as already started."""
    first = await world.publish(submitted(world.order("s")))
    second = await world.publish(submitted(world.order("s")))
    async with world.bridge():
        await world.settled(second.event_id, "already_started")
    assert await world.outcomes(first.event_id) == ["started"]
    described = await world.client.get_workflow_handle(f"order-intake-{world.order('s')}").describe()
    assert described.workflow_type == "OrderIntakeWorkflow"
    assert described.task_queue == "order-processing"


async def test_a_start_is_not_repeated_after_the_workflow_closed(world: World) -> None:
    """A start whose workflow ran and closed starts no second run: the outcome is recorded, the offset moves."""
    workflow_id = f"order-intake-{world.order('s')}"
    await world.start(workflow_id)
    await world.terminate(workflow_id)
    sent = await world.publish(submitted(world.order("s")))
    async with world.bridge():
        await world.settled(sent.event_id, "already_started")
    assert await world.committed() == {0: sent.offset + 1}


async def test_an_early_event_waits_for_its_workflow(world: World) -> None:
    """Early events are parked in order, later ones queue behind them, and all arrive once the workflow is there."""
    order_id = world.order("early")
    workflow_id = f"order-fulfillment-{order_id}"
    async with world.bridge():
        first = await world.publish(picked(order_id))
        await world.settled(first.event_id, "parked")
        second = await world.publish(packed(order_id))
        await world.settled(second.event_id, "parked")
        assert [row["event_id"] for row in await world.parked()] == [first.event_id, second.event_id]
        await world.start(workflow_id)
        third = await world.publish(cancel_requested(order_id))
        await world.settled(third.event_id, "delivered")
    assert [event_id for _, event_id in await world.signals(workflow_id)] == [
        str(first.event_id),
        str(second.event_id),
        str(third.event_id),
    ]
    assert await world.parked() == []
    assert await world.outcomes(first.event_id) == ["parked", "delivered"]


async def test_parked_events_survive_the_process(world: World) -> None:
    """What one bridge parked, the next one delivers."""
    order_id = world.order("restart")
    async with world.bridge():
        sent = await world.publish(picked(order_id))
        await world.settled(sent.event_id, "parked")
    await world.start(f"order-fulfillment-{order_id}")
    async with world.bridge():
        await world.settled(sent.event_id, "delivered")
    assert await world.signals(f"order-fulfillment-{order_id}") == [("PickCompleted", str(sent.event_id))]


async def test_a_start_passes_parked_events(world: World) -> None:
    """A start does not queue behind what is parked for another workflow of the same order."""
    order_id = world.order("pass")
    async with world.bridge():
        early = await world.publish(cancel_requested(order_id))
        await world.settled(early.event_id, "parked")
        start = await world.publish(submitted(order_id))
        await world.settled(start.event_id, "started")
    assert await world.outcomes(early.event_id) == ["parked"]


async def test_a_late_event_is_recorded(world: World) -> None:
    """A signal to a workflow that has closed is in the ledger as late; it is neither parked nor dead-lettered."""
    order_id = world.order("late")
    await world.start(f"order-fulfillment-{order_id}")
    await world.terminate(f"order-fulfillment-{order_id}")
    sent = await world.publish(picked(order_id))
    async with world.bridge():
        await world.settled(sent.event_id, "late")
    assert await world.parked() == []
    assert await world.dead_letter_count() == 0
    assert await world.committed() == {0: sent.offset + 1}


async def test_a_type_without_a_route_is_not_even_decoded(world: World) -> None:
    """An event that nobody routes is counted only: hostile bytes in it hurt nobody and leave no trace."""
    order_id = world.order("x")
    await world.publish(OrderConfirmed(order_id=order_id, confirmed_at=NOW), value=b"\x00garbage")
    allocated = InventoryAllocated(
        order_id=order_id, reservation_id="r", waited=False, lines=(), allocated_at=NOW
    )
    last = await world.publish(allocated, value=b"", extensions={"waited": "false"})
    async with world.bridge() as bridge:

        async def passed() -> bool:
            return await world.committed() == {0: last.offset + 1}

        await until(passed)
        count = bridge.registry.get_sample_value(
            "tidegate_bridge_unrouted_total", {"type": OrderConfirmed.TYPE}
        )
    assert count == 1
    assert await world.ledger() == []
    assert await world.dead_letter_count() == 0


async def test_when_lets_an_event_through(world: World) -> None:
    """InventoryAllocated signals the workflow only where its headers say that the order waited."""
    order_id = world.order("w")
    await world.start(f"order-fulfillment-{order_id}")
    allocated = InventoryAllocated(
        order_id=order_id, reservation_id="r", waited=True, lines=(), allocated_at=NOW
    )
    sent = await world.publish(allocated, extensions={"waited": "true"})
    async with world.bridge():
        await world.settled(sent.event_id, "delivered")
    assert await world.signals(f"order-fulfillment-{order_id}") == [
        ("InventoryAllocated", str(sent.event_id))
    ]


async def test_the_same_event_twice_signals_once(world: World) -> None:
    """An event that stands in the topic twice is one signal in the workflow's history."""
    order_id, event_id = world.order("twice"), uuid4()
    await world.start(f"order-fulfillment-{order_id}")
    await world.publish(picked(order_id), event_id=event_id)
    last = await world.publish(picked(order_id), event_id=event_id)
    async with world.bridge():

        async def both() -> bool:
            return len(await world.ledger(event_id)) == 2

        await until(both)
    assert await world.signals(f"order-fulfillment-{order_id}") == [("PickCompleted", str(event_id))]
    assert [row["delivery"] for row in await world.ledger(event_id)] == [1, 2]
    assert await world.committed() == {0: last.offset + 1}


@pytest.mark.parametrize("origin", ["replay", "redrive"])
async def test_a_replay_asks_the_ledger_first(world: World, origin: Literal["replay", "redrive"]) -> None:
    """What the ledger knows is not delivered again, even where Temporal has forgotten the request."""
    order_id = world.order("again")
    workflow_id = f"order-fulfillment-{order_id}"
    await world.start(workflow_id)
    sent = await world.publish(picked(order_id))
    async with world.bridge() as bridge:
        await world.settled(sent.event_id, "delivered")
        await world.terminate(workflow_id)
        await world.start(workflow_id)  # a new run knows no request id of the old one
        record = ConsumedRecord(world.topic, 0, sent.offset, sent.key, sent.value, sent.headers, 0)
        planned = await bridge.handler.preview(record)
        delivered = await bridge.handler.handle(record, origin=origin)
        await bridge.handler.flush()
    assert [plan.would for plan in planned] == ["nothing"]
    assert [each.outcome.value for each in delivered] == ["duplicate"]
    assert await world.signals(workflow_id) == []
    assert await world.outcomes(sent.event_id) == ["delivered"]
