"""OrderIntakeWorkflow: a submission is never lost, and never becomes two orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    WorkflowAlreadyStartedError,
)

from infra.ids import derived_id, order_id_of
from tests.skipping import SkippingServers
from tests.waiting import until
from tests.workflow_support import World, asked, real_world, skipping_world, status_of, submission
from workflows import policies
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.orders import EventToEmit, OrderReference
from workflows.contracts.orders import GET_STATUS, ORDER_FULFILLMENT, OrderIntakeRequest

INTAKE = ["ValidateOrder", "CreateOrder", "EmitOrderEvent"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def clock(skipping_servers: SkippingServers) -> AsyncIterator[World]:
    """Workflows and fakes on a server whose clock can be skipped, for one test."""
    async with skipping_world(skipping_servers) as running:
        yield running


def cause_of(failure: WorkflowFailureError) -> ApplicationError:
    """What the workflow failed with, through the activity where one did."""
    cause = failure.cause.cause if isinstance(failure.cause, ActivityError) else failure.cause
    assert isinstance(cause, ApplicationError)
    return cause


async def test_a_submission_becomes_an_order_whose_fulfillment_runs(world: World, unique: str) -> None:
    """Validate, create, emit, start the child, complete; the child outlives the intake."""
    request = submission(unique)
    handle = await world.take_in(request, unique)
    order_id = await handle.result()
    assert order_id == order_id_of(unique)
    assert world.contexts.effects(order_id)[:3] == INTAKE
    assert await handle.query(GET_STATUS) == "CREATED"
    fulfillment = world.client.get_workflow_handle(ORDER_FULFILLMENT.workflow_id(order_id=order_id))
    assert (await status_of(fulfillment)).order_id == order_id
    assert ("AllocateInventory", OrderReference(order_id, "direct")) in world.contexts.arguments[order_id]


async def test_the_event_of_an_order_has_an_id_that_follows_from_the_workflow(
    world: World, unique: str
) -> None:
    """event_id = derived from workflow id, logical step and occurrence, on every attempt the same."""
    attempts = iter(range(2))

    def fail_twice(_: object) -> bool:
        if next(attempts, None) is not None:
            raise ConnectionError("OMS is down")
        return True

    order_id = order_id_of(unique)
    world.contexts.answer(order_id, contracts.EMIT_ORDER_EVENT, fail_twice)
    await (await world.take_in(submission(unique), unique)).result()
    emitted = [argument for name, argument in world.contexts.arguments[order_id] if name == "EmitOrderEvent"]
    event_id = str(derived_id("emit", f"order-intake-{unique}", "Emit Order Created Event", 1))
    assert emitted == [EventToEmit(order_id, "OrderCreated", event_id)] * 3


async def test_the_same_request_id_finds_the_workflow_that_is_there(world: World, unique: str) -> None:
    """A duplicate request id starts nothing, while the first runs and after it has closed."""
    gate = asyncio.Event()
    order_id = order_id_of(unique)

    async def hold(_: object) -> None:
        await gate.wait()

    world.contexts.answer(order_id, contracts.VALIDATE_ORDER, hold)
    handle = await world.take_in(submission(unique), unique)
    with pytest.raises(WorkflowAlreadyStartedError):
        await world.take_in(submission(unique), unique)
    gate.set()
    await handle.result()
    with pytest.raises(WorkflowAlreadyStartedError):
        await world.take_in(submission(unique), unique)
    assert world.contexts.effects(order_id).count("CreateOrder") == 1


async def test_a_fulfillment_that_has_started_already_is_the_one(world: World, unique: str) -> None:
    """An intake whose fulfillment exists (an intake that was reset) completes all the same."""
    order_id = order_id_of(unique)
    await world.fulfil(order_id)
    assert await (await world.take_in(submission(unique), unique)).result() == order_id
    await until(lambda: "CreatePickWave" in world.contexts.effects(order_id))
    assert world.contexts.effects(order_id).count("AllocateInventory") == 1


@pytest.mark.parametrize(
    "step", [contracts.VALIDATE_ORDER, contracts.CREATE_ORDER, contracts.EMIT_ORDER_EVENT]
)
async def test_oms_away_for_an_hour_loses_nothing(clock: World, unique: str, step: Any) -> None:
    """Each activity is retried without limit: OMS down delays the submission."""
    order_id = order_id_of(unique)
    back = await clock.environment.get_current_time() + timedelta(hours=1)

    async def away_until_then(request: Any) -> Any:
        if await clock.environment.get_current_time() < back:
            raise ConnectionError("OMS is down")
        return order_id if step is contracts.CREATE_ORDER else (step is contracts.EMIT_ORDER_EVENT or None)

    clock.contexts.answer(order_id, step, away_until_then)
    handle = await clock.take_in(submission(unique), unique)
    await asked(clock.contexts, order_id, step)
    expected = {"ValidateOrder": "RECEIVED", "CreateOrder": "VALIDATED", "EmitOrderEvent": "CREATED"}
    assert await handle.query(GET_STATUS) == expected[step.name]
    assert await handle.result() == order_id
    assert clock.contexts.effects(order_id)[:3] == INTAKE


async def test_an_invalid_order_fails_at_once_and_for_good(world: World, unique: str) -> None:
    """Validation is not retried, nothing is created, and getStatus says FAILED."""
    order_id = order_id_of(unique)

    def invalid(_: object) -> None:
        raise ApplicationError("lines[0].quantity", type="InvalidOrderError", non_retryable=True)

    world.contexts.answer(order_id, contracts.VALIDATE_ORDER, invalid)
    handle = await world.take_in(submission(unique), unique)
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert cause_of(failure.value).type == "InvalidOrderError"
    assert [name for name, _ in world.contexts.arguments[order_id]] == ["ValidateOrder"]
    assert await handle.query(GET_STATUS) == "FAILED"


@pytest.mark.parametrize("broken", ["an order", ["lines"], {"request_id": "without the rest"}, None])
async def test_what_is_no_submission_at_all_fails_the_workflow_not_its_task(
    world: World, unique: str, broken: Any
) -> None:
    """An argument that cannot be read ends the intake with its reason, instead of blocking it for ever."""
    handle = await world.take_in(broken, unique)
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert cause_of(failure.value).type == "InvalidOrderError"
    assert "not a valid OrderIntakeRequest" in str(cause_of(failure.value))
    assert await handle.query(GET_STATUS) == "FAILED"


async def test_a_submission_may_grow_a_field(world: World, unique: str) -> None:
    """A field of a later version of OrderSubmitted is ignored."""
    request = asdict(submission(unique)) | {"a_field_of_tomorrow": {"x": 1}}
    handle: WorkflowHandle[Any, str] = await world.take_in(request, unique)  # type: ignore[arg-type]
    assert await handle.result() == order_id_of(unique)
    validated = [a for name, a in world.contexts.arguments[order_id_of(unique)] if name == "ValidateOrder"]
    assert validated == [submission(unique)]
    assert isinstance(validated[0], OrderIntakeRequest)


async def test_an_intake_gives_up_after_seven_days(
    clock: World, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole of it has 7 days, by a timer inside; then it fails and says so."""
    # Ten thousand attempts, one a minute, would take a minute here and prove no more.
    twice_a_day = replace(policies.UNLIMITED, maximum_interval=timedelta(hours=12), backoff_coefficient=100)
    patient = replace(contracts.CREATE_ORDER, retry=twice_a_day)
    monkeypatch.setattr("workflows.activities.contracts.orders.CREATE_ORDER", patient)

    def down(_: object) -> None:
        raise ConnectionError("OMS is down")

    clock.contexts.answer(order_id_of(unique), contracts.CREATE_ORDER, down)
    handle = await clock.take_in(submission(unique), unique)
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert cause_of(failure.value).type == "IntakeTimeoutError"
    description = await handle.describe()
    assert description.close_time is not None
    took = description.close_time - description.start_time
    assert took == pytest.approx(timedelta(days=7), abs=timedelta(hours=1))
    assert await handle.query(GET_STATUS) == "FAILED"


async def test_an_intake_cancelled_before_the_order_exists_creates_none(world: World, unique: str) -> None:
    """Cancelled in Temporal while it validates, it closes as cancelled and OMS has no order."""
    gate = asyncio.Event()
    order_id = order_id_of(unique)

    async def hold(_: object) -> None:
        await gate.wait()

    world.contexts.answer(order_id, contracts.VALIDATE_ORDER, hold)
    handle = await world.take_in(submission(unique), unique)
    await asked(world.contexts, order_id, contracts.VALIDATE_ORDER)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    gate.set()
    assert isinstance(failure.value.cause, CancelledError)
    assert await handle.query(GET_STATUS) == "FAILED"


async def test_an_intake_cancelled_too_late_completes(world: World, unique: str) -> None:
    """An order that may exist gets its fulfillment: half an order would be lost."""
    gate = asyncio.Event()
    order_id = order_id_of(unique)

    async def hold(request: OrderIntakeRequest) -> str:
        await gate.wait()
        return request.order_id

    world.contexts.answer(order_id, contracts.CREATE_ORDER, hold)
    handle = await world.take_in(replace(submission(unique)), unique)
    await asked(world.contexts, order_id, contracts.CREATE_ORDER)
    await handle.cancel()
    gate.set()
    assert await handle.result() == order_id
