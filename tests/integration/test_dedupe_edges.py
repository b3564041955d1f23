"""Signals where they are easily lost or doubled: in the last task, in a flood, after the end, for another release."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from tests.bridge_support import bridge_world, picked
from tests.dedupe_support import Teller
from tests.dedupe_workflow import Tally
from tests.parcel_workflow import Parcel
from tests.waiting import until
from workflows.dedupe import DedupeSignals


@pytest_asyncio.fixture(loop_scope="session")
async def client(temporal_address: str) -> Client:
    """A client of the real server."""
    return await Client.connect(temporal_address)


class HaltsAtTheEnd(Interceptor):
    """Holds the first task in which the workflow ends a run, until it may go on; the worker has not answered then."""

    def __init__(self) -> None:
        self.is_there = threading.Event()
        self.may_go_on = threading.Event()

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor]:
        """The part of it that runs inside a workflow."""
        halt = self

        class Inbound(WorkflowInboundInterceptor):
            async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002
                try:
                    return await super().execute_workflow(input)
                finally:
                    if not halt.is_there.is_set():
                        halt.is_there.set()
                        halt.may_go_on.wait(60)

        return Inbound


@asynccontextmanager
async def halting(teller: Teller) -> AsyncIterator[HaltsAtTheEnd]:
    """A worker whose first last task waits to be let go on."""
    halt = HaltsAtTheEnd()
    async with Worker(
        teller.client,
        task_queue=teller.name,
        workflows=[Tally],
        interceptors=[halt],
        plugins=[DedupeSignals()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        try:
            yield halt
        finally:
            halt.may_go_on.set()


async def test_a_signal_during_the_final_task_is_applied_before_the_end(client: Client, unique: str) -> None:
    """The server refuses to close over it; the task is done again with the signal, once, and its repeat dropped."""
    teller = Teller(client, f"tally-{unique}")
    async with halting(teller) as halt:
        await teller.start()
        await teller.tell("1", "a")
        await teller.tell("the end", "end")
        assert await asyncio.to_thread(halt.is_there.wait, 60)
        await teller.tell("1", "a")
        await teller.tell("2", "too")
        await teller.tell("2", "too")
        halt.may_go_on.set()
        await teller.tell("the very end", "end")
        assert await teller.handle.result() == ["a", "end", "too", "end"]
        history = await teller.history()
    failed = [
        event for event in history.events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    ]
    assert failed, "the last task was answered while a signal was there"
    with pytest.raises(RPCError) as gone:
        await teller.tell("3", "late")
    assert gone.value.status is RPCStatusCode.NOT_FOUND, "its sender is told, and records it"


async def test_a_signal_during_the_last_task_of_a_run_is_in_the_next(client: Client, unique: str) -> None:
    """A run that continues as new takes what came meanwhile with it, and the memory of it."""
    teller = Teller(client, f"tally-{unique}")
    async with halting(teller) as halt:
        await teller.start()
        await teller.tell("turn", "next")
        assert await asyncio.to_thread(halt.is_there.wait, 60)
        await teller.tell("1", "a")
        halt.may_go_on.set()
        await teller.tell("turn again", "next")
        await teller.tell("1", "a")
        words = await teller.end()
    assert [word for word in words if word != "|"] == ["next", "a", "next", "end"]


async def test_three_hundred_signals_at_once_are_each_applied_once(client: Client, unique: str) -> None:
    """All at once, each under two request ids, and again in a later run: nothing lost, nothing twice."""
    teller = Teller(client, f"tally-{unique}")
    events = [str(number) for number in range(300)]
    async with teller.worker(signals_per_run=120):
        await teller.start()
        await asyncio.gather(*(teller.tell(event, event) for event in [*events, *events]))

        async def continued() -> bool:
            return "|" in await teller.words()

        await until(continued)
        await asyncio.gather(*(teller.tell(event, event) for event in events))
        words = await teller.end()
    assert sorted(word for word in words if word not in {"|", "end"}) == sorted(events)


async def test_what_temporal_has_forgotten_the_ledger_has_not(
    postgres_dsn: str, bootstrap_servers: str, registry_url: str, temporal_address: str, unique: str
) -> None:
    """Past retention a workflow is gone, with its memory: an event that comes again is not waiting for it."""
    async with bridge_world(
        postgres_dsn=postgres_dsn,
        bootstrap_servers=bootstrap_servers,
        registry_url=registry_url,
        temporal_address=temporal_address,
        unique=unique,
    ) as world:
        order_id, event_id = world.order("gone"), uuid4()
        workflow_id = f"order-fulfillment-{order_id}"
        await world.start(workflow_id)
        async with world.bridge():
            await world.publish(picked(order_id), event_id=event_id)
            await world.settled(event_id, "delivered")
            await world.terminate(workflow_id)
            await world.client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(
                    namespace=world.client.namespace,
                    workflow_execution=WorkflowExecution(workflow_id=workflow_id),
                )
            )

            async def forgotten() -> bool:
                return await world.history(workflow_id) == []

            await until(forgotten)
            again = await world.publish(picked(order_id), event_id=event_id)

            async def committed() -> bool:
                return (await world.committed())[0] == again.offset + 1

            await until(committed)
            await world.start(workflow_id)
            other = await world.publish(picked(order_id))
            await world.settled(other.event_id, "delivered")
        assert await world.parked() == []
        assert "parked" not in await world.outcomes(event_id)
        assert await world.signals(workflow_id) == [("PickCompleted", str(other.event_id))]


async def test_a_signal_that_yesterdays_worker_cannot_read_is_noted(client: Client, unique: str) -> None:
    """A payload of the next release reaches yesterday's code: the workflow goes on and says what it could not use."""
    async with Worker(client, task_queue=unique, workflows=[Parcel], plugins=[DedupeSignals()]):
        teller = Teller(client, f"parcel-{unique}")
        await client.start_workflow("Parcel", id=teller.name, task_queue=unique)
        await teller.tell("1", {"parcel_id": teller.name, "weight": {"grams": 700}}, "weighed")
        await teller.tell("2", {"parcel_id": teller.name, "weight": 700}, "weighed")
        result: Any = await teller.handle.result()
    assert result == {"weight": 700, "failures": ["weighed: not a valid Weighed: weight: TypeError"]}
