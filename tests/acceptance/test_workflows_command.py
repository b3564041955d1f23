"""``tidegate workflows``: what an operator sees of workflows and does with them, on a real server."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import PauseActivityRequest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from infra.ids import order_id_of
from tests.forked import fork_tidegate
from tests.waiting import until
from tests.workflow_support import World, asked, illegal, reached, real_world, submission
from workflows.activities.contracts import orders as contracts
from workflows.contracts.base import EVENT_ID_HEADER


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(temporal_address: str) -> AsyncIterator[World]:
    """Workflows with fakes around them."""
    async with real_world(temporal_address) as running:
        yield running


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Its JSON."""
        return json.loads(self.out)


async def workflows(world: World, *words: str) -> Said:
    """``tidegate workflows`` with ``words``, on the server of ``world``."""
    target = world.client.service_client.config.target_host
    process = await fork_tidegate(
        *("workflows", *words),
        environment={
            **os.environ,
            "TIDEGATE_TEMPORAL__ADDRESS": target,
            "TIDEGATE_TEMPORAL__NAMESPACE": world.client.namespace,
        },
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    return Said(process.returncode or 0, out.decode(), err.decode())


async def test_workflows_are_found_by_type_status_and_order(world: World, unique: str) -> None:
    """The search attributes say what a workflow is about and what it does; JSON has the same."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    wanted = ("--type", "OrderFulfillmentWorkflow", "--status", "WAITING_FOR_PICK", "--order", unique)

    async def is_listed() -> bool:  # what is listed follows what is written, after a moment
        found = (await workflows(world, "list", *wanted, "--state", "running", "--json")).data["workflows"]
        return [row["workflow_id"] for row in found] == [handle.id]

    await until(is_listed)
    assert handle.id in (await workflows(world, "list", *wanted)).out
    other = ("list", "--type", "OrderFulfillmentWorkflow", "--status", "SHIPPED", "--order", unique, "--json")
    assert (await workflows(world, *other)).data == {"workflows": []}
    await handle.terminate()


async def test_a_workflow_is_shown_signalled_and_asked(world: World, unique: str) -> None:
    """What it waits for, what happened; the same event twice has its effect once."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    shown = (await workflows(world, "show", handle.id, "--json")).data
    assert shown["status"] == "WAITING_FOR_PICK"
    assert shown["queries"]["getCurrentStep"] == "Wait for Pick Completion"
    assert "activity CreatePickWave completed" in [happened["what"] for happened in shown["history"]]
    payload = ("--payload", json.dumps({"order_id": unique}), "--event-id", f"scanner-{unique}")
    for _ in range(2):
        sent = await workflows(world, "signal", handle.id, "PackCompleted", *payload, "--json")
        assert sent.data["event_id"] == f"scanner-{unique}"
    happened = [
        entry["what"] for entry in (await workflows(world, "show", handle.id, "--json")).data["history"]
    ]
    assert happened.count("signal PackCompleted") == 1
    signals = [
        event.workflow_execution_signaled_event_attributes
        for event in (await handle.fetch_history()).events
        if event.HasField("workflow_execution_signaled_event_attributes")
    ]
    carried = json.loads(signals[0].header.fields[EVENT_ID_HEADER].data)
    assert carried == f"scanner-{unique}", (
        "the worker drops it in a later run too, and when the bridge brings it"
    )
    asked_for = await workflows(world, "query", handle.id, "getBlockingReason")
    assert asked_for.out.startswith("waiting for PickCompleted until")
    assert "Wait for Pick Completion" in (await workflows(world, "show", handle.id)).out
    await workflows(
        world, "signal", handle.id, "PickCompleted", "--payload", json.dumps({"order_id": unique})
    )
    assert await handle.result() == "SHIPPED"


async def test_a_workflow_is_cancelled_with_what_it_must_undo(world: World, unique: str) -> None:
    """It is asked, not killed."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    assert (await workflows(world, "cancel", handle.id, "--reason", "test", "--json")).status == 0
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert "ReleaseInventory" in world.contexts.effects(unique)
    again = await workflows(world, "cancel", handle.id)
    assert (again.status, again.err) == (2, f"tidegate: {handle.id} has ended already: CANCELED\n")


async def test_an_activity_that_waits_for_a_retry_is_tried_now(world: World, unique: str) -> None:
    """Whatever its backoff has grown to; a paused one goes on."""
    order_id, away = order_id_of(unique), True

    def answer(_: object) -> None:
        if away:
            raise RuntimeError("away")

    world.contexts.answer(order_id, contracts.VALIDATE_ORDER, answer)
    handle = await world.take_in(submission(unique), unique)
    await asked(world.contexts, order_id, contracts.VALIDATE_ORDER, times=3)
    await world.client.workflow_service.pause_activity(
        PauseActivityRequest(
            namespace=world.client.namespace,
            execution=WorkflowExecution(workflow_id=handle.id),
            type="ValidateOrder",
        )
    )

    async def is_paused() -> bool:
        shown = (await workflows(world, "show", handle.id, "--json")).data
        return [pending["state"] for pending in shown["pending_activities"]] == ["paused"]

    await until(is_paused)
    away = False
    planned = (await workflows(world, "resume", handle.id, "--dry-run", "--json")).data
    assert planned["done"] == ["ValidateOrder: was paused, goes on"]
    assert (await workflows(world, "resume", handle.id)).status == 0
    assert await handle.result() == order_id


async def test_a_failed_workflow_goes_on_from_its_last_good_task(world: World, unique: str) -> None:
    """Reset to the task that asked for what was refused for good; what was done before is not done again."""
    refused = True

    def answer(_: object) -> None:
        if refused:
            raise illegal()

    world.contexts.answer(unique, contracts.MARK_ORDER_SHIPPED, answer)
    handle = await world.fulfil(unique)
    for report in ("PickCompleted", "PackCompleted"):
        await handle.signal(report, {"order_id": unique})
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    refused = False
    planned = await workflows(world, "resume", handle.id, "--dry-run")
    assert "MarkOrderShipped failed for good and is asked again" in planned.out
    assert (await handle.describe()).status is WorkflowExecutionStatus.FAILED, "a dry run does nothing"
    assert (await workflows(world, "resume", handle.id, "--json")).status == 0
    assert await world.client.get_workflow_handle(handle.id, result_type=str).result() == "SHIPPED"
    assert world.contexts.effects(unique).count("ConfirmShipment") == 1
    again = await workflows(world, "resume", handle.id)
    assert (again.status, again.err) == (
        2,
        f"tidegate: {handle.id} has completed: there is nothing to resume\n",
    )


async def test_a_workflow_that_waits_for_a_fact_has_nothing_to_resume(world: World, unique: str) -> None:
    """It is said, and where to look."""
    handle = await world.fulfil(unique)
    await reached(handle, "WAITING_FOR_PICK")
    answer = await workflows(world, "resume", handle.id)
    assert answer.status == 2
    assert "no activity is paused or waits for another attempt" in answer.err
    await handle.terminate()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "nobody"), "no such workflow, or it has ended: nobody"),
        (("signal", "nobody", "PickCompletd"), "no signal is called 'PickCompletd'"),
        (("signal", "nobody", "PickCompleted"), "PickCompleted takes a PickReport: order_id: Field required"),
        (("signal", "nobody", "PickCompleted", "--payload", "{"), "--payload is no JSON"),
        (("list", "--type", "OrderFlow"), "no workflow is called 'OrderFlow'"),
        (("list", "--state", "asleep"), "Temporal has no state 'asleep'"),
        (("list", "--order", "a' OR 'a'='a"), "nothing to search for has a quotation mark in it"),
    ],
    ids=["unknown", "signal", "payload", "json", "type", "state", "quote"],
)
async def test_misuse_is_one_line(world: World, words: tuple[str, ...], sentence: str) -> None:
    """Status 2, what is wrong, no traceback."""
    said = await workflows(world, *words)
    assert said.status == 2
    assert sentence in said.err
    assert said.err.count("\n") == 1
