"""OrderFulfillmentWorkflow cancelled at every step, by signal and in Temporal; and signals it cannot use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Payload
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError, CancelledError

from tests.waiting import until
from tests.workflow_support import World, asked, illegal, reached, real_world, status_of
from workflows.activities.contracts import orders as contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.orders import AllocationResult, OrderCancellation
from workflows.contracts.orders import CANCEL_ORDER, PACK_COMPLETED, PICK_COMPLETED

RELEASED = ["ReleaseInventory"]
WAVE_AND_RELEASED = ["CancelPickWave", "ReleaseInventory"]
WAVE_AND_RETURNED = ["CancelPickWave", "ReturnInventory"]
EVERYTHING = ["CancelShipment", "CancelPickWave", "ReturnInventory"]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows and fakes on a real server."""
    async with real_world(temporal_address) as running:
        yield running


class Gate:
    """An activity that is under way until the test lets it go on."""

    def __init__(
        self, world: World, order_id: str, activity: ActivityContract[Any, Any], result: Any = None
    ) -> None:
        self._open = asyncio.Event()
        self._result = result
        world.contexts.answer(order_id, activity, self._hold)

    async def _hold(self, _: object) -> Any:
        await self._open.wait()
        return self._result

    def open(self) -> None:
        """Let it finish."""
        self._open.set()


async def cancel(handle: WorkflowHandle[Any, Any], order_id: str) -> None:
    """Cancel as OMS does."""
    await handle.signal(CANCEL_ORDER.name, {"order_id": order_id, "requested_by": "oms", "reason": "changed"})


async def report_everything(handle: WorkflowHandle[Any, Any], order_id: str) -> None:
    """Pick and pack, reported ahead."""
    await handle.signal(PICK_COMPLETED.name, {"order_id": order_id})
    await handle.signal(PACK_COMPLETED.name, {"order_id": order_id})


@pytest.mark.parametrize(
    ("during", "result", "undone"),
    [
        (contracts.ALLOCATE_INVENTORY, AllocationResult("ALLOCATED"), RELEASED),
        (contracts.ALLOCATE_INVENTORY, AllocationResult("WAITING"), RELEASED),
        (contracts.MARK_ORDER_RESERVED, None, RELEASED),
        (contracts.CREATE_PICK_WAVE, "wave", WAVE_AND_RELEASED),
        (contracts.CONSUME_INVENTORY, None, WAVE_AND_RETURNED),
        (contracts.CREATE_SHIPMENT, "shipment", EVERYTHING),
        (contracts.GENERATE_SHIPPING_LABEL, "label", EVERYTHING),
    ],
    ids=lambda value: getattr(value, "name", None) or getattr(value, "status", None) or "",
)
async def test_a_cancel_during_a_step_lets_it_finish_and_then_undoes_it(
    world: World, unique: str, during: ActivityContract[Any, Any], result: Any, undone: list[str]
) -> None:
    """Before ConsumeInventory releases; after it returns to stock; wave and shipment are cancelled."""
    gate = Gate(world, unique, during, result)
    handle = await world.fulfil(unique)
    await report_everything(handle, unique)
    await asked(world.contexts, unique, during)
    await cancel(handle, unique)
    await cancel(handle, unique)
    assert (await status_of(handle)).cancellation == "REQUESTED"
    gate.open()
    assert await handle.result() == "CANCELLED"
    effects = world.contexts.effects(unique)
    assert effects[effects.index(during.name) + 1 :] == [*undone, "MarkOrderCancelled"]
    cancelled = [
        argument for name, argument in world.contexts.arguments[unique] if name == "MarkOrderCancelled"
    ]
    assert cancelled == [OrderCancellation(unique, "changed")]


@pytest.mark.parametrize(
    ("state", "picked", "undone"),
    [
        ("WAITING_FOR_STOCK", False, RELEASED),
        ("WAITING_FOR_PICK", False, WAVE_AND_RELEASED),
        ("WAITING_FOR_PACK", True, WAVE_AND_RETURNED),
    ],
)
async def test_a_cancel_while_it_waits_is_done_at_once(
    world: World, unique: str, state: str, picked: bool, undone: list[str]
) -> None:
    """An order that waits for stock, for its pick or for its pack need not wait to be cancelled."""
    if state == "WAITING_FOR_STOCK":
        world.contexts.answer(unique, contracts.ALLOCATE_INVENTORY, lambda _: AllocationResult("WAITING"))
    handle = await world.fulfil(unique)
    if picked:
        await handle.signal(PICK_COMPLETED.name, {"order_id": unique})
    await reached(handle, state)
    before = len(world.contexts.effects(unique))
    await cancel(handle, unique)
    assert await handle.result() == "CANCELLED"
    assert world.contexts.effects(unique)[before:] == [*undone, "MarkOrderCancelled"]
    status = await status_of(handle)
    assert (status.state, list(status.compensated)) == ("CANCELLED", undone)


async def test_a_cancel_ends_the_retries_of_a_label(world: World, unique: str) -> None:
    """A label that keeps failing does not hold a cancelled order for its hour."""

    def refuse(_: object) -> None:
        raise RuntimeError("no label this time")

    world.contexts.answer(unique, contracts.GENERATE_SHIPPING_LABEL, refuse)
    handle = await world.fulfil(unique)
    await report_everything(handle, unique)
    await asked(world.contexts, unique, contracts.GENERATE_SHIPPING_LABEL)
    await cancel(handle, unique)
    assert await handle.result() == "CANCELLED"
    assert world.contexts.effects(unique)[5:] == [*EVERYTHING, "MarkOrderCancelled"]


@pytest.mark.parametrize(
    "during", [contracts.CONFIRM_SHIPMENT, contracts.MARK_ORDER_SHIPPED], ids=lambda c: c.name
)
async def test_a_cancel_after_confirm_shipment_is_refused_and_recorded(
    world: World, unique: str, during: ActivityContract[Any, Any]
) -> None:
    """The order ships; OMS is told once that the cancellation was refused, however often it was asked for."""
    gate = Gate(world, unique, during)
    handle = await world.fulfil(unique)
    await report_everything(handle, unique)
    await asked(world.contexts, unique, during)
    await cancel(handle, unique)
    await cancel(handle, unique)
    await asked(world.contexts, unique, contracts.REFUSE_CANCELLATION)
    gate.open()
    assert await handle.result() == "SHIPPED"
    effects = world.contexts.effects(unique)
    assert effects.count("RefuseCancellation") == 1
    assert "CancelShipment" not in effects
    assert (await status_of(handle)).cancellation == "REFUSED"


async def test_a_cancel_of_an_order_that_is_failing_is_refused(world: World, unique: str) -> None:
    """An order whose pick timed out stays FAILED; the cancellation that came meanwhile has its answer."""
    gate = Gate(world, unique, contracts.RELEASE_INVENTORY)

    def no_wave(_: object) -> None:
        raise illegal()

    world.contexts.answer(unique, contracts.CREATE_PICK_WAVE, no_wave)
    handle = await world.fulfil(unique)
    await asked(world.contexts, unique, contracts.RELEASE_INVENTORY)
    await cancel(handle, unique)
    gate.open()
    assert await handle.result() == "FAILED"
    assert sorted(world.contexts.effects(unique)[2:]) == [
        "CancelPickWave",
        "MarkOrderFailed",
        "RefuseCancellation",
        "ReleaseInventory",
    ]


async def test_a_workflow_cancelled_in_temporal_compensates_first(world: World, unique: str) -> None:
    """Cancelling the workflow itself undoes what was done, shielded, and closes it as cancelled."""
    gate = Gate(world, unique, contracts.CANCEL_PICK_WAVE)
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    await handle.cancel(reason="wrong order")
    await asked(world.contexts, unique, contracts.CANCEL_PICK_WAVE)
    await handle.cancel(reason="and again, while it compensates")
    gate.open()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert world.contexts.effects(unique)[3:] == [*WAVE_AND_RELEASED, "MarkOrderCancelled"]


async def test_a_workflow_cancelled_in_temporal_too_late_ships(world: World, unique: str) -> None:
    """Past ConfirmShipment a cancellation in Temporal is refused and recorded like any other."""
    gate = Gate(world, unique, contracts.MARK_ORDER_SHIPPED)
    handle = await world.fulfil(unique)
    await report_everything(handle, unique)
    await asked(world.contexts, unique, contracts.MARK_ORDER_SHIPPED)
    await handle.cancel()
    await asked(world.contexts, unique, contracts.REFUSE_CANCELLATION)
    gate.open()
    assert await handle.result() == "SHIPPED"


async def test_a_compensation_is_retried_until_it_succeeds(world: World, unique: str) -> None:
    """IMS away while an order is cancelled delays the release and loses nothing."""
    outages = iter(range(3))

    def away(_: object) -> None:
        if next(outages, None) is not None:
            raise ConnectionError("IMS is down")

    world.contexts.answer(unique, contracts.RELEASE_INVENTORY, away)
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    await cancel(handle, unique)
    assert await handle.result() == "CANCELLED"
    assert world.contexts.effects(unique)[3:] == [*WAVE_AND_RELEASED, "MarkOrderCancelled"]


async def test_a_compensation_that_is_refused_for_good_stops_no_other_and_is_seen(
    world: World, unique: str
) -> None:
    """The rest is undone and recorded, and the workflow fails so that a person looks at it."""

    def refuse(_: object) -> None:
        raise illegal()

    world.contexts.answer(unique, contracts.CANCEL_PICK_WAVE, refuse)
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    await cancel(handle, unique)
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == "CompensationRefusedError"
    assert world.contexts.effects(unique)[3:] == ["ReleaseInventory", "MarkOrderCancelled"]
    assert "CancelPickWave" in (await status_of(handle)).refused[0]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "not a valid PickReport"),
        ([{"order_id": "?"}, "a second argument"], "not a valid PickReport"),
        ([["no", "object"]], "not a valid PickReport"),
        ([{"picked_at": "2026-11-21T10:00:00Z"}], "order_id"),
        ([{"order_id": 7}], "not a valid PickReport"),
        ([{"order_id": "of-somebody-else"}], "about another order"),
        ([RawValue(Payload(metadata={"encoding": b"json/plain"}, data=b"\xff{"))], "not a valid PickReport"),
        ([RawValue(Payload(metadata={"encoding": b"of/tomorrow"}, data=b"x"))], "not a valid PickReport"),
    ],
    ids=["none", "two", "list", "no-order", "wrong-type", "other-order", "not-json", "unknown-encoding"],
)
async def test_a_signal_that_cannot_be_used_is_seen_and_fails_nothing(
    world: World, unique: str, arguments: list[Any], reason: str
) -> None:
    """It is listed with its reason by getFulfillmentStatus, and the right signal still works after it."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    await handle.signal(PICK_COMPLETED.name, args=arguments)

    async def is_noted() -> bool:
        return len((await status_of(handle)).signal_failures) == 1

    await until(is_noted)
    status = await status_of(handle)
    assert status.state == "WAITING_FOR_PICK"
    assert status.signal_failures[0].signal == "PickCompleted"
    assert reason in status.signal_failures[0].reason
    await report_everything(handle, unique)
    assert await handle.result() == "SHIPPED"
