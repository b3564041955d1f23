"""Seed 004, "Temporal for Workflows", heading by heading: what workflows are made of, and how one is made.

Each test names the heading that it holds the code to. Its four platform workflows (images, patches, drills,
evidence) have their rows when the platform has its workflows; the example in "Decision" stands here in the same
blocks that the order workflows are made of. Every rule of each block: ``tests/integration/test_blocks.py``.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

import workflows.blocks
from tests.blocks_workflows import (
    QUEUE,
    RECEIVED,
    STEPS_OF_AN_IMAGE,
    Diary,
    DiaryWorkflow,
    ExampleWorkflow,
    FanOutRun,
    FanOutWorkflow,
    GateRun,
    GateWorkflow,
    Image,
    Progress,
    Receipt,
)
from tests.skipping import SkippingServers
from tests.waiting import until
from tests.workflow_support import new_namespace
from tidegate.scaffold import NewWorkflow
from workflows.activities.contracts.base import ActivityContract
from workflows.worker import interceptors, plugins, sandbox

GUIDELINES = Path(__file__).parents[2] / "docs" / "workflows.md"
FULL = 6
"""After how many signals a run of these workers is full."""


class Builder:
    """The activities: what was asked, how often, and what they were told to answer."""

    def __init__(self) -> None:
        self.done: dict[str, list[str]] = defaultdict(list)
        self.asked: Counter[tuple[str, str]] = Counter()
        self.failures: dict[tuple[str, str], list[Exception]] = defaultdict(list)
        self.at_work = 0
        self.most_at_once = 0
        self.three = asyncio.Barrier(3)

    def implementations(self) -> list[Callable[..., Any]]:
        """One for each step of the example, and the one of the other workflows."""
        return [*(self._step(contract) for contract in STEPS_OF_AN_IMAGE), self.work]

    @activity.defn(name="Work")
    async def work(self, job: str) -> str:
        """Wait until there are three of it, and note how many run at once."""
        self.at_work += 1
        self.most_at_once = max(self.most_at_once, self.at_work)
        await self.three.wait()
        self.at_work -= 1
        return f"done {job}"

    def _step(self, contract: ActivityContract[Image, None]) -> Callable[..., Any]:
        async def run(image: Image) -> None:
            key = image.image_id, contract.name
            self.asked[key] += 1
            if self.failures[key]:
                raise self.failures[key].pop(0)
            self.done[image.image_id].append(contract.name)

        return activity.defn(name=contract.name)(run)


@asynccontextmanager
async def worker(client: Client, builder: Builder) -> AsyncIterator[None]:
    """One worker, with the interceptors and the sandbox of the real ones."""
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[GateWorkflow, DiaryWorkflow, FanOutWorkflow, ExampleWorkflow],
        activities=builder.implementations(),
        interceptors=interceptors(),
        plugins=plugins(FULL),
        workflow_runner=sandbox(strict=True),
        max_cached_workflows=0,  # every task replays: what is in memory only would be lost
    ):
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def client(temporal_address: str) -> AsyncIterator[Client]:
    """A namespace of a real server."""
    async with new_namespace(temporal_address) as world:
        yield world.client


@pytest_asyncio.fixture(loop_scope="session")
async def builder(client: Client) -> AsyncIterator[Builder]:
    """A worker that runs, and its activities."""
    builder = Builder()
    async with worker(client, builder):
        yield builder


async def build(client: Client, image_id: str) -> WorkflowHandle[Any, str]:
    """Start the example."""
    return await client.start_workflow(
        ExampleWorkflow.run, Image(image_id), id=f"image-{image_id}", task_queue=QUEUE
    )


# --- Context ------------------------------------------------------------------------------------------


async def test_durable(client: Client, unique: str) -> None:
    """ "Context: Durable (survive crashes, restarts)": the worker ends while a gate waits, another takes it on."""
    async with worker(client, Builder()):
        handle = await client.start_workflow(
            GateWorkflow.run, GateRun(unique, clock_days=1), id=f"gate-{unique}", task_queue=QUEUE
        )

        async def waits() -> bool:
            return await handle.query("waiting_for") is not None

        await until(waits)
    await handle.signal(RECEIVED.name, Receipt(unique, "while nobody worked"))
    async with worker(client, Builder()):
        end = await handle.result()
    assert (end.how, end.note) == ("PASSED", "while nobody worked")


async def test_an_entity_outlives_its_runs(client: Client, builder: Builder, unique: str) -> None:
    """ "Context: long-running, multi-step workflows": more signals than one run takes, and none is lost."""
    handle = await client.start_workflow(DiaryWorkflow.run, Diary(), id=f"diary-{unique}", task_queue=QUEUE)
    words = [f"word {number}" for number in range(FULL)]
    for word in words:
        await handle.signal("tell", word)
    latest = client.get_workflow_handle_for(DiaryWorkflow.run, handle.id)

    async def is_in_its_next_run() -> bool:
        return (await latest.describe()).run_id != handle.first_execution_run_id

    await until(is_in_its_next_run)
    await latest.signal("tell", "end")
    end = await latest.result()
    assert end.runs == 2
    assert [*end.read, *end.unread] == [*words, "end"]


async def test_observable(client: Client, builder: Builder, unique: str) -> None:
    """ "Context: Observable (track progress, debug failures)": a query says the step, what was undone, what was not."""
    builder.failures[unique, "TestImage"] = [_no("it does not boot")]
    builder.failures[unique, "DeleteImage"] = [_no("it is in use")]
    handle = await build(client, unique)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    progress: Progress = await handle.query("progress", result_type=Progress)
    assert (progress.step, progress.undone) == ("TESTING", ())
    (refused,) = progress.refused
    assert refused.startswith("DeleteImage: ")
    assert "it is in use" in refused


async def test_recoverable_by_retries(client: Client, builder: Builder, unique: str) -> None:
    """ "Context: Recoverable (retry failed steps)": a step that fails once is tried again, the steps before it are
    not."""
    builder.failures[unique, "TestImage"] = [ConnectionError("not now")]
    assert await (await build(client, unique)).result() == "PUBLISHED"
    assert builder.done[unique] == ["BuildImage", "TestImage", "SignAndPublish"]
    assert builder.asked[unique, "BuildImage"] == 1


async def test_recoverable_by_compensation(client: Client, builder: Builder, unique: str) -> None:
    """ "Context: Recoverable (compensate)": the last step first, each until it has succeeded."""
    builder.failures[unique, "SignAndPublish"] = [ConnectionError("not now")] * 2
    builder.failures[unique, "WithdrawImage"] = [ConnectionError("not now")] * 4
    with pytest.raises(WorkflowFailureError):
        await (await build(client, unique)).result()
    assert builder.done[unique] == ["BuildImage", "TestImage", "WithdrawImage", "DeleteImage"]
    assert builder.asked[unique, "WithdrawImage"] == 5


async def test_one_compensation_that_is_refused_stops_no_other(
    client: Client, builder: Builder, unique: str
) -> None:
    """ "Context: Recoverable (compensate)": what can be undone is undone."""
    builder.failures[unique, "SignAndPublish"] = [_no("no key")]
    builder.failures[unique, "WithdrawImage"] = [_no("it is out")]
    with pytest.raises(WorkflowFailureError):
        await (await build(client, unique)).result()
    assert builder.done[unique] == ["BuildImage", "TestImage", "DeleteImage"]


async def test_scalable(client: Client, builder: Builder, unique: str) -> None:
    """ "Context: Scalable (handle concurrent campaigns)": many at once, within a limit, answered in order."""
    jobs = tuple(f"{unique}-{number}" for number in range(12))
    done = await client.execute_workflow(
        FanOutWorkflow.run, FanOutRun(jobs, limit=3), id=f"fan-out-{unique}", task_queue=QUEUE
    )
    assert done == [f"done {job}" for job in jobs]
    assert builder.most_at_once == 3


# --- Decision -----------------------------------------------------------------------------------------


async def test_example_workflow(client: Client, builder: Builder, unique: str) -> None:
    """ "Decision: Example workflow": build, test, sign and publish; an image that fails its test is deleted, and the
    workflow fails with the test's error."""
    assert await (await build(client, unique)).result() == "PUBLISHED"
    assert builder.done[unique] == ["BuildImage", "TestImage", "SignAndPublish"]

    failed = f"{unique}-failed"
    builder.failures[failed, "TestImage"] = [_no("it does not boot")]
    with pytest.raises(WorkflowFailureError) as failure:
        await (await build(client, failed)).result()
    assert isinstance(failure.value.cause, ApplicationError)
    assert "it does not boot" in failure.value.cause.message
    assert builder.done[failed] == ["BuildImage", "DeleteImage"], "awaited, and nothing is published"


async def test_native_retries(client: Client, builder: Builder, unique: str) -> None:
    """ "Decision 3: Native retries": a retry policy for each activity, as the server has it."""
    builder.failures[unique, "TestImage"] = [_no("it does not boot")]
    handle = await build(client, unique)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    scheduled = [
        event.activity_task_scheduled_event_attributes
        for event in (await handle.fetch_history()).events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    assert {one.activity_type.name: one.retry_policy.maximum_attempts for one in scheduled} == {
        "BuildImage": 2,
        "TestImage": 2,
        "DeleteImage": 0,
    }


async def test_signals_and_queries(client: Client, builder: Builder, unique: str) -> None:
    """ "Decision 5: Signals/queries": a gate says what it waits for, and a signal opens it."""
    handle = await client.start_workflow(
        GateWorkflow.run, GateRun(unique), id=f"gate-{unique}", task_queue=QUEUE
    )

    async def waits() -> bool:
        sentence: str | None = await handle.query("waiting_for")
        return sentence == "waiting for Received"

    await until(waits)
    await handle.signal(RECEIVED.name, Receipt(unique, "go on"))
    assert (await handle.result()).note == "go on"


# --- Consequences: Mitigations ------------------------------------------------------------------------


def test_workflow_templates_for_common_patterns() -> None:
    """ "Mitigations": templates: ``tidegate new workflow`` writes every part, made of the blocks. That what it writes
    passes the checks and its own tests: ``test_new_command.py``."""
    new = NewWorkflow("GoodsInspection", "lot", "ims")
    assert {*new.files} == {"contract", "activities", "workflow", "scenarios", "test"}
    for block in ("Gate[", "Saga(", "uninterrupted(", "RunIsFullError", "note_status("):
        assert block in new.text("workflow"), block
    assert "skipping_world" in new.text("test")


def test_workflow_development_guidelines() -> None:
    """ "Mitigations": guidelines: how to write one, to change one that runs, to resume one; and every block by name."""
    text = GUIDELINES.read_text()
    for heading in (
        "Rules of determinism",
        "Building blocks",
        "Adding a workflow",
        "Changing one that is running",
        "Backfill",
        "Resuming one that is stuck",
    ):
        assert f"\n## {heading}\n" in text, heading
    folder = Path(workflows.blocks.__file__).parent
    blocks = {path.stem for path in folder.glob("*.py")} - {"__init__", "endings"}
    assert blocks == {"entity", "fan_out", "gate", "saga", "uninterrupted"}
    assert [block for block in sorted(blocks) if f"`{block}." not in text] == []


async def test_testing_framework(skipping_servers: SkippingServers, unique: str) -> None:
    """ "Mitigations": Temporal's testing framework: a clock of a month is tested in seconds."""
    async with skipping_servers.lend() as clock, worker(clock.client, Builder()):
        end = await clock.client.execute_workflow(
            GateWorkflow.run, GateRun(unique, clock_days=30), id=f"gate-{unique}", task_queue=QUEUE
        )
    assert (end.how, round(end.days, 2)) == ("LATE", 30.0)


def _no(reason: str) -> ApplicationError:
    return ApplicationError(reason, non_retryable=True)
