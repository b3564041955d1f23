"""What a signal-with-start and a cancellation come to, on a real broker, a real Temporal and a real database."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.enums.v1 import EventType

from consumers.bridge.delivery import Existence, Late, Outcome, Settle
from consumers.bridge.requests import Delivery
from consumers.bridge.route import Route, on, park, record
from consumers.bridge.temporal import TemporalGateway
from consumers.runtime.record import ConsumedRecord
from schemas.events import OrderCancelRequested, PackCompleted, PickCompleted
from tests.bridge_support import World, cancel_requested, packed, picked
from tests.waiting import until
from workflows.contracts.base import WorkflowContract
from workflows.contracts.orders import ORDER_FULFILLMENT, PACK_COMPLETED, PICK_COMPLETED

ID = ORDER_FULFILLMENT.id_template
CANCELLING = on(OrderCancelRequested).cancel(ID, early=park(hours=1), late=record)
PACKED = on(PackCompleted).signal(PACK_COMPLETED).to(ID, early=park(hours=1), late=record)


@pytest.fixture
def world(bridge_surroundings: World) -> World:
    """A topic of one partition."""
    return bridge_surroundings


def starting(world: World, *, late: Late = record) -> Route:
    """PickCompleted starts and signals a workflow that no worker serves."""
    return on(PickCompleted).signal(PICK_COMPLETED).starting(_idle(world), late=late)


def _idle(world: World) -> WorkflowContract:
    return WorkflowContract("Idle", world.topic, ID, ORDER_FULFILLMENT.input)


async def kinds(world: World, workflow_id: str) -> list[str]:
    """What happened to the workflow, its tasks left out."""
    names = [EventType.Name(event.event_type) for event in await world.history(workflow_id)]
    return [name.removeprefix("EVENT_TYPE_WORKFLOW_EXECUTION_") for name in names if "TASK" not in name]


async def test_the_first_event_starts_and_each_event_signals(world: World) -> None:
    """The workflow is started once, with its first signal; an event that comes twice is one signal."""
    order_id, event_id = world.order("sws"), uuid4()
    workflow_id = f"order-fulfillment-{order_id}"
    async with world.bridge([starting(world)]) as bridge:
        first = await world.publish(picked(order_id), event_id=event_id)
        again = await world.publish(picked(order_id), event_id=event_id)
        second = await world.publish(picked(order_id))
        await world.settled(second.event_id, "delivered")
        planned = await bridge.handler.preview(_record(world, second))
    assert await kinds(world, workflow_id) == ["STARTED", "SIGNALED", "SIGNALED"]
    assert [each for _, each in await world.signals(workflow_id)] == [str(event_id), str(second.event_id)]
    # before anything may be started the ledger is asked, also for an event that stands in the topic twice
    assert await world.outcomes(event_id) == ["delivered"]
    assert (first.offset, again.offset) == (0, 1)
    assert [plan.would for plan in planned] == ["nothing"]
    described = await world.client.get_workflow_handle(workflow_id).describe()
    assert (described.workflow_type, described.task_queue) == ("Idle", world.topic)


async def test_a_closed_workflow_is_not_started_again(world: World) -> None:
    """A signal-with-start to a workflow that has closed is late, as its route says; no second run begins."""
    order_id, buried = world.order("recorded"), world.order("buried")
    for each in (order_id, buried):
        await world.start(f"order-fulfillment-{each}")
        await world.terminate(f"order-fulfillment-{each}")
    async with world.bridge([starting(world)]):
        late = await world.publish(picked(order_id))
        await world.settled(late.event_id, "late")
    async with world.bridge([starting(world, late=Late.DEAD_LETTER)]):
        letter = await world.publish(picked(buried))
        await world.settled(letter.event_id, "dead_lettered")
    assert [row["reason"] for row in await world.ledger(letter.event_id)] == ["late"]
    assert await kinds(world, f"order-fulfillment-{order_id}") == ["STARTED", "TERMINATED"]
    assert await kinds(world, f"order-fulfillment-{buried}") == ["STARTED", "TERMINATED"]


async def test_a_signal_that_starts_does_not_overtake_what_is_parked(world: World) -> None:
    """An event parked before it is what the workflow hears first; the start itself does not wait."""
    order_id = world.order("order")
    async with world.bridge([starting(world), PACKED]):
        early = await world.publish(packed(order_id))
        await world.settled(early.event_id, "parked")
        starter = await world.publish(picked(order_id))
        last = await world.publish(packed(order_id))
        await world.settled(starter.event_id, "delivered")
        await world.settled(last.event_id, "delivered")
    assert [each for _, each in await world.signals(f"order-fulfillment-{order_id}")] == [
        str(sent.event_id) for sent in (early, starter, last)
    ]
    assert await world.parked() == []


async def test_a_cancellation_reaches_its_workflow(world: World) -> None:
    """Asked once, however often it is delivered; early it waits; the history says for which event it was asked."""
    order_id, early_id = world.order("cancel"), world.order("early")
    workflow_id = f"order-fulfillment-{order_id}"
    await world.start(workflow_id)
    async with world.bridge([CANCELLING]):
        early = await world.publish(cancel_requested(early_id))
        await world.settled(early.event_id, "parked")
        sent = await world.publish(cancel_requested(order_id))
        await world.publish(cancel_requested(order_id), event_id=sent.event_id)
        other = await world.publish(cancel_requested(order_id))
        await world.settled(other.event_id, "delivered")
        await world.start(f"order-fulfillment-{early_id}")
        await world.settled(early.event_id, "delivered")
    assert await world.outcomes(sent.event_id) == ["delivered", "delivered"]
    for asked, event in ((workflow_id, sent), (f"order-fulfillment-{early_id}", early)):
        causes = [
            each.workflow_execution_cancel_requested_event_attributes.cause
            for each in await world.history(asked)
            if each.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
        ]
        assert causes == [f"event {event.event_id}"]


async def test_a_cancellation_is_late_where_nobody_had_asked(world: World) -> None:
    """Temporal answers well whatever has closed; the outcome is late all the same, unless the run had been asked."""
    cancelled, finished = world.order("cancelled"), world.order("finished")
    for order_id in (cancelled, finished):
        await world.start(f"order-fulfillment-{order_id}")
    await world.client.get_workflow_handle(f"order-fulfillment-{cancelled}").cancel()
    for order_id in (cancelled, finished):
        await world.terminate(f"order-fulfillment-{order_id}")
    async with world.bridge([CANCELLING]):
        asked = await world.publish(cancel_requested(cancelled))
        late = await world.publish(cancel_requested(finished))
        await world.settled(asked.event_id, "delivered")
        await world.settled(late.event_id, "late")
    assert await world.dead_letter_count() == 0


@pytest.mark.parametrize("action", ["signal_with_start", "cancel"])
async def test_a_key_may_be_held_by_what_comes_late(world: World, action: str) -> None:
    """With `hold_on_poison` a dead letter of either action holds its key, and no other, until it is seen to."""
    held, other = world.order("held"), world.order("other")
    await world.start(f"order-fulfillment-{held}")
    await world.terminate(f"order-fulfillment-{held}")
    beginning = on(PickCompleted).hold_on_poison()
    routes: dict[str, Route] = {
        "signal_with_start": beginning.signal(PICK_COMPLETED).starting(_idle(world), late=Late.DEAD_LETTER),
        "cancel": beginning.cancel(ID, early=park(hours=1), late=Late.DEAD_LETTER),
    }
    async with world.bridge([routes[action], PACKED]) as bridge:
        letter = await world.publish(picked(held))
        behind = await world.publish(packed(held))
        passing = await world.publish(packed(other))
        await world.settled(letter.event_id, "dead_lettered")
        await world.settled(passing.event_id, "parked")
        await until(lambda: (_value(bridge, "tidegate_consumer_retries_total", waits="key") or 0) >= 1)
        assert await world.outcomes(behind.event_id) == []
        # behind it no offset has moved
        assert await world.committed() == {0: letter.offset}


@pytest.mark.parametrize("fate", ["running", "closed"])
async def test_a_try_whose_answer_was_lost_is_repeated_without_effect(world: World, fate: str) -> None:
    """The same signal-with-start again, while the workflow runs or after it has closed: one signal, and delivered."""
    gateway = TemporalGateway(world.client)
    order_id = world.order("lost")
    workflow_id = f"order-fulfillment-{order_id}"
    await world.start(workflow_id)
    delivery = Delivery(uuid4(), starting(world), workflow_id, picked(order_id).to_json())
    assert await gateway.deliver(delivery) == Settle(Outcome.DELIVERED)
    if fate == "closed":
        await world.terminate(workflow_id)
    assert await gateway.deliver(delivery) == Settle(Outcome.DELIVERED)
    other = Delivery(uuid4(), starting(world), workflow_id, picked(order_id).to_json())
    assert await gateway.deliver(other) == Settle(Outcome.DELIVERED if fate == "running" else Outcome.LATE)
    assert len(await world.signals(workflow_id)) == (2 if fate == "running" else 1)


async def test_the_outcome_is_what_happened_however_a_workflow_comes_and_goes(world: World) -> None:
    """While workflows start and close, a signal is in a history exactly where it was found delivered: `describe` after
    "not found" never turns one answer into the other."""
    gateway = TemporalGateway(world.client)
    route = on(PickCompleted).signal(PICK_COMPLETED).to(ID, early=park(hours=1), late=record)

    async def one(number: int) -> None:
        order_id = world.order(f"race-{number}")
        workflow_id = f"order-fulfillment-{order_id}"
        delivery = Delivery(uuid4(), route, workflow_id, {"order_id": order_id})
        born, _ = await asyncio.gather(gateway.deliver(delivery), world.start(workflow_id))
        dying = Delivery(uuid4(), route, workflow_id, {"order_id": order_id})
        died, _ = await asyncio.gather(gateway.deliver(dying), world.terminate(workflow_id))
        heard = {each for _, each in await world.signals(workflow_id)}
        assert born.outcome is (Outcome.DELIVERED if str(delivery.event_id) in heard else Outcome.PARKED)
        assert died.outcome is (Outcome.DELIVERED if str(dying.event_id) in heard else Outcome.LATE)
        assert await gateway.look(workflow_id) == (Existence.CLOSED, "")

    await asyncio.gather(*(one(number) for number in range(20)))


async def test_three_hundred_signals_at_once_to_one_workflow(world: World) -> None:
    """Each arrives, once: a workflow that is busy lets its keys wait and nothing else."""
    order_id, count = world.order("crowd"), 300
    workflow_id = f"order-fulfillment-{order_id}"
    await world.start(workflow_id)
    sent = await asyncio.gather(
        *(world.publish(picked(order_id), key=str(number).encode()) for number in range(count))
    )
    async with world.bridge(workers=count) as bridge:

        async def passed() -> bool:
            return await world.committed() == {0: count}

        await until(passed, every=0.2)
        assert (_value(bridge, "tidegate_consumer_retries_total", waits="partition") or 0) == 0
    heard = [each for _, each in await world.signals(workflow_id)]
    assert sorted(heard) == sorted(str(each.event_id) for each in sent)
    assert {row["outcome"] for row in await world.ledger()} == {"delivered"}


def _value(bridge: Any, name: str, **labels: str) -> float | None:
    return bridge.registry.get_sample_value(name, labels)  # type: ignore[no-any-return]


def _record(world: World, sent: Any) -> ConsumedRecord:
    return ConsumedRecord(world.topic, 0, sent.offset, sent.key, sent.value, sent.headers, 0)
