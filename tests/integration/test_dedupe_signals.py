"""DedupeSignals on the real server: twice is once, across runs, workers and resets."""

from __future__ import annotations

import pytest
import pytest_asyncio
from temporalio.api.common.v1 import Header, Payload, Payloads, WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import (
    ResetWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
)
from temporalio.client import Client

from tests.dedupe_support import Teller
from tests.dedupe_workflow import Tally
from tests.workflow_support import signal_as_event
from workflows.contracts.base import EVENT_ID_HEADER
from workflows.dedupe import SEEN_AT_HEADER, SEEN_HEADER


@pytest_asyncio.fixture(loop_scope="session")
async def client(temporal_address: str) -> Client:
    """A client of the real server."""
    return await Client.connect(temporal_address)


async def test_a_repeat_of_an_event_is_dropped(client: Client, unique: str) -> None:
    """The same event under new request ids counts once; other events and signals without an id all count."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker():
        await teller.start()
        await teller.tell("1", "a")
        await teller.tell("1", "a")
        await teller.tell("2", "b")
        await teller.tell("1", "a")
        await teller.handle.signal(Tally.tell, "by hand")
        await teller.handle.signal(Tally.tell, "by hand")
        assert await teller.end() == ["a", "b", "by hand", "by hand", "end"]


async def test_a_repeat_after_continue_as_new_is_dropped(client: Client, unique: str) -> None:
    """Duplicates that straddle one run, and two, count once: Temporal's request id would let them through."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker():
        await teller.start()
        await signal_as_event(client, teller.name, "tell", "1", "the same request", "a")
        await teller.tell("turn", "next")
        await teller.heard("a", "next", "|")
        await signal_as_event(client, teller.name, "tell", "1", "the same request", "a")
        await teller.tell("2", "b")
        await teller.tell("turn again", "next")
        await teller.heard("a", "next", "|", "b", "next", "|")
        await teller.tell("1", "a")
        await teller.tell("2", "b")
        assert await teller.end() == ["a", "next", "|", "b", "next", "|", "end"]


async def test_a_repeat_after_a_worker_restart_is_dropped(client: Client, unique: str) -> None:
    """What was seen is rebuilt by replay on another worker, also what an earlier run had seen."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker():
        await teller.start()
        await teller.tell("1", "a")
        await teller.tell("turn", "next")
        await teller.heard("a", "next", "|")
        await teller.tell("2", "b")
        await teller.heard("a", "next", "|", "b")
    await teller.tell("1", "a")
    await teller.tell("2", "b")
    await teller.tell("3", "c")
    await teller.tell("3", "c")
    async with teller.worker():
        assert await teller.end() == ["a", "next", "|", "b", "c", "end"]


async def test_a_repeat_after_a_reset_is_dropped(client: Client, unique: str) -> None:
    """A run that was reset applies each event once, those that the server applies again included."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker():
        await teller.start()
        await teller.tell("1", "a")
        await teller.heard("a")
        await teller.tell("2", "b")
        await teller.tell("2", "b")
        await teller.heard("a", "b")
        history = await teller.handle.fetch_history()
        first_task = next(
            event.event_id
            for event in history.events
            if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        )
        await client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=teller.name),
                reason="test",
                workflow_task_finish_event_id=first_task,
                request_id=unique,
            )
        )
        await teller.tell("1", "a")
        await teller.tell("2", "b")
        await teller.tell("3", "c")
        assert sorted(await teller.end()) == ["a", "b", "c", "end"]


async def test_the_memory_is_bounded_and_forgets_the_oldest(client: Client, unique: str) -> None:
    """With room for two, the third event pushes the first out; the second is still remembered."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker(remember=2):
        await teller.start()
        for event_id in ("1", "2", "3", "2", "1"):
            await teller.tell(event_id, event_id)
        assert await teller.end() == ["1", "2", "3", "1", "end"]


async def test_a_run_is_asked_to_end_before_it_is_full_of_signals(client: Client, unique: str) -> None:
    """Repeats count too, as they do for the server's limit; nothing is lost and nothing told twice."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker(signals_per_run=3):
        await teller.start()
        for _ in range(3):
            await teller.tell("1", "a")
        await teller.heard("a", "|")
        await teller.tell("1", "a")
        await teller.tell("2", "b")
        assert await teller.end() == ["a", "|", "b", "end"]


@pytest.mark.parametrize(
    "header", [Payload(data=b"\xff"), Payload(metadata={"encoding": b"json/plain"}, data=b"[1")]
)
async def test_an_event_id_that_cannot_be_read_lets_the_signal_through(
    client: Client, unique: str, header: Payload
) -> None:
    """Better twice than lost: handlers are idempotent by meaning."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker():
        await teller.start()
        await client.workflow_service.signal_workflow_execution(
            SignalWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=teller.name),
                signal_name="tell",
                input=Payloads(payloads=await client.data_converter.encode(["a"])),
                header=Header(fields={EVENT_ID_HEADER: header}),
                request_id=unique,
            )
        )
        assert await teller.end() == ["a", "end"]


async def test_the_memory_travels_in_a_header_of_the_next_run(client: Client, unique: str) -> None:
    """The run that continues another begins with what was seen, in a header and not in its arguments."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.worker():
        await teller.start()
        await teller.tell("1", "a")
        await teller.tell("turn", "next")
        await teller.heard("a", "next", "|")
        started = (await teller.handle.fetch_history()).events[0].workflow_execution_started_event_attributes
        fields = started.header.fields
        carried = await client.data_converter.decode(
            [fields[SEEN_HEADER], fields[SEEN_AT_HEADER]], [list[str], list[int]]
        )
        assert carried[0] == ["1:tell", "turn:tell"]
        assert len(carried[1]) == 2
        await teller.end()
