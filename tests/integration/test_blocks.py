"""The building blocks of workflows: each rule that their docstrings promise, with the clock skipped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.worker import Worker

from tests.blocks_workflows import (
    QUEUE,
    RECEIVED,
    Diary,
    DiaryWorkflow,
    FanOutRun,
    FanOutWorkflow,
    GateEnd,
    GateRun,
    GateWorkflow,
    Receipt,
)
from tests.skipping import SkippedClock, SkippingServers
from tests.waiting import until
from workflows.worker import interceptors, plugins, sandbox

FULL = 6
"""After how many signals a run of these workers is full."""


class Outside:
    """The activities of the blocks' workflows: what they were asked, and how many ran at once."""

    def __init__(self) -> None:
        self.reminded: list[str] = []
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.most_at_once = 0
        self.go_on = asyncio.Event()

    @activity.defn(name="Remind")
    async def remind(self, what: str) -> None:
        """Note it; a subject that is called "deaf…" cannot be reminded, one that is "away" cannot be reached."""
        self.reminded.append(what)
        if what.startswith("away"):
            raise RuntimeError("not now")
        if what.startswith("deaf"):
            raise ApplicationError("nobody listens", non_retryable=True)

    @activity.defn(name="Work")
    async def work(self, job: str) -> str:
        """Held ("held…", "slow…") until told to go on; "bad…" and "… then bad" fail."""
        self.begun.append(job)
        self.most_at_once = max(self.most_at_once, len(self.begun) - len(self.ended))
        try:
            if job.startswith(("held", "slow")):
                await self.go_on.wait()
            if job.startswith("bad") or job.endswith("then bad"):
                raise ApplicationError(job, non_retryable=True)
        finally:
            self.ended.append(job)
        return f"done {job}"


class Bench:
    """A server whose clock can be skipped, a worker, and the world outside."""

    def __init__(self, clock: SkippedClock, outside: Outside) -> None:
        self.client = clock.client
        self.environment = clock.environment
        self.outside = outside

    async def gate(self, run: GateRun) -> WorkflowHandle[Any, GateEnd]:
        """Start a workflow that waits at a gate."""
        return await self.client.start_workflow(
            GateWorkflow.run, run, id=f"gate-{run.subject}", task_queue=QUEUE
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server(skipping_servers: SkippingServers) -> AsyncIterator[SkippedClock]:
    """One server for these tests: each of them ends what it began."""
    async with skipping_servers.lend() as clock:
        yield clock


@pytest_asyncio.fixture(loop_scope="session")
async def bench(server: SkippedClock) -> AsyncIterator[Bench]:
    """A worker with the interceptors and the sandbox of the real ones."""
    outside = Outside()
    async with Worker(
        server.client,
        task_queue=QUEUE,
        workflows=[GateWorkflow, DiaryWorkflow, FanOutWorkflow],
        activities=[outside.remind, outside.work],
        interceptors=interceptors(),
        plugins=plugins(FULL),
        workflow_runner=sandbox(strict=True),
    ):
        yield Bench(server, outside)


async def kinds(handle: WorkflowHandle[Any, Any]) -> list[EventType.ValueType]:
    """What happened in a workflow, as the server wrote it down."""
    return [event.event_type for event in (await handle.fetch_history()).events]


# --- Gate ---------------------------------------------------------------------------------------------


async def test_a_fact_that_came_before_the_wait_passes_the_gate(bench: Bench, unique: str) -> None:
    """The first fact counts, a repeat changes nothing, and no timer is begun."""
    handle = await bench.gate(GateRun(f"held-{unique}", clock_days=1, work_before=True))
    await until(lambda: bench.outside.begun == [f"held-{unique}"])
    await handle.signal(RECEIVED.name, Receipt(f"held-{unique}", "first"))
    await handle.signal(RECEIVED.name, Receipt(f"held-{unique}", "second"))
    bench.outside.go_on.set()
    end = await handle.result()
    assert (end.how, end.note) == ("PASSED", "first")
    assert EventType.EVENT_TYPE_TIMER_STARTED not in await kinds(handle)


async def test_a_fact_that_comes_during_the_wait_passes_the_gate(bench: Bench, unique: str) -> None:
    """While it waits it says for what; a signal about something else is noted and does not pass."""
    handle = await bench.gate(GateRun(unique, clock_days=1))

    async def waits() -> bool:
        return "waiting for Received until " in str(await handle.query("waiting_for"))

    await until(waits)
    await handle.signal(RECEIVED.name, Receipt("of-somebody-else"))
    await handle.signal(RECEIVED.name, {"note": "about nothing"})
    await handle.signal(RECEIVED.name, Receipt(unique, "mine"))
    assert (await handle.result()).note == "mine"
    assert await handle.query("waiting_for") is None
    other, unreadable = await handle.query("unused")
    assert other == "about another order: of-somebody-else"
    assert "not a valid Receipt" in unreadable


async def test_the_clock_of_a_gate_runs_out(bench: Bench, unique: str) -> None:
    """After exactly its time, with a sentence."""
    end = await (await bench.gate(GateRun(unique, clock_days=3))).result()
    assert (end.how, end.note, round(end.days, 2)) == ("LATE", "no Received within 3 days", 3.0)


async def test_a_gate_reminds_at_its_interval_until_its_clock(bench: Bench, unique: str) -> None:
    """30 days with a reminder every 7: four, numbered, and the deadline is not moved by them."""
    end = await (await bench.gate(GateRun(unique, clock_days=30, remind_days=7))).result()
    assert (end.how, round(end.days, 2)) == ("LATE", 30.0)
    assert bench.outside.reminded == [f"{unique}:{number}" for number in (1, 2, 3, 4)]


async def test_a_reminder_that_fails_stops_nothing(bench: Bench, unique: str) -> None:
    """The next one comes all the same."""
    end = await (await bench.gate(GateRun(f"deaf-{unique}", clock_days=5, remind_days=2))).result()
    assert (end.how, round(end.days, 2)) == ("LATE", 5.0)
    assert bench.outside.reminded == [f"deaf-{unique}:1", f"deaf-{unique}:2"]


async def test_a_reminder_that_hangs_delays_nothing(bench: Bench, unique: str) -> None:
    """It does not get through for days: the clock runs out on its day, and the reminder is cancelled."""
    handle = await bench.gate(GateRun(f"away-{unique}", clock_days=5, remind_days=2))
    end = await handle.result()
    assert (end.how, round(end.days, 2)) == ("LATE", 5.0)
    happened = await kinds(handle)
    assert happened.count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) == 1, "one at a time"
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED in happened


async def test_a_gate_without_a_clock_only_reminds(bench: Bench, unique: str) -> None:
    """It is overdue, it is said, and it waits on."""
    handle = await bench.gate(GateRun(unique, remind_days=30))
    await bench.environment.sleep(timedelta(days=65))
    await until(lambda: len(bench.outside.reminded) == 2)
    await handle.signal(RECEIVED.name, Receipt(unique, "at last"))
    assert (await handle.result()).how == "PASSED"


async def test_a_cancellation_wins_over_the_fact(bench: Bench, unique: str) -> None:
    """Where both have come, the workflow's own reason to leave counts."""
    handle = await bench.gate(GateRun(f"held-{unique}", clock_days=1, work_before=True))
    await until(lambda: bench.outside.begun == [f"held-{unique}"])
    await handle.signal(RECEIVED.name, Receipt(f"held-{unique}"))
    await handle.signal("leave", None)
    bench.outside.go_on.set()
    assert (await handle.result()).how == "LEFT"


async def test_a_gate_keeps_its_deadline_and_its_reminders_through_new_runs(
    bench: Bench, unique: str
) -> None:
    """Runs that fill up in the midst of a wait neither lengthen it nor remind twice."""
    handle = await bench.gate(GateRun(unique, clock_days=10, remind_days=4))

    async def in_run(number: int) -> bool:
        reading = bench.client.get_workflow_handle(handle.id)
        started = (await reading.fetch_history()).events[0].workflow_execution_started_event_attributes
        return f'"runs":{number}'.encode() in started.input.payloads[0].data

    async def flood(to_run: int) -> None:
        latest = bench.client.get_workflow_handle(handle.id)
        for _ in range(FULL):
            await latest.signal("noise", None)
        await until(lambda: in_run(to_run), what=f"run {to_run}")

    await bench.environment.sleep(timedelta(days=5))
    await until(lambda: bench.outside.reminded == [f"{unique}:1"])
    await flood(to_run=2)
    await bench.environment.sleep(timedelta(days=2))
    await flood(to_run=3)
    end = await handle.result()
    assert (end.how, end.runs, round(end.days, 2)) == ("LATE", 3, 10.0)
    assert bench.outside.reminded == [f"{unique}:1", f"{unique}:2"]


async def test_a_fact_that_came_in_an_earlier_run_is_not_forgotten(bench: Bench, unique: str) -> None:
    """The fact is carried by the workflow's input."""
    end = await (await bench.gate(GateRun(unique, clock_days=1, fact=Receipt(unique, "before")))).result()
    assert (end.how, end.note) == ("PASSED", "before")


async def test_a_workflow_that_is_cancelled_at_a_gate_cancels_its_reminder(bench: Bench, unique: str) -> None:
    """Cancelling in Temporal leaves the gate, with nothing under way."""
    handle = await bench.gate(GateRun(f"away-{unique}", clock_days=9, remind_days=1))
    await bench.environment.sleep(timedelta(days=1, hours=1))

    async def reminds() -> bool:
        return EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED in await kinds(handle)

    await until(reminds)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError) as failure:
        await handle.result()
    assert isinstance(failure.value.cause, CancelledError)
    assert EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED in await kinds(handle)


# --- Entity -------------------------------------------------------------------------------------------


async def diary(bench: Bench, unique: str, **options: Any) -> WorkflowHandle[Any, Diary]:
    """Start a workflow that writes down what it is told."""
    return await bench.client.start_workflow(
        DiaryWorkflow.run, Diary(**options), id=f"diary-{unique}", task_queue=QUEUE
    )


async def test_an_entity_forgets_nothing_between_its_runs(bench: Bench, unique: str) -> None:
    """Words of a slow handler, and of signals that came while it was awaited, arrive in the next run."""
    handle = await diary(bench, unique)
    await handle.signal("tell", "slow one")
    await until(lambda: bench.outside.begun == ["slow one"])
    words = [f"word {number}" for number in range(2 * FULL)]
    for word in words:
        await handle.signal("tell", word)
    bench.outside.go_on.set()
    await handle.signal("tell", "end")
    end = await bench.client.get_workflow_handle_for(DiaryWorkflow.run, handle.id).result()
    assert end.runs > 1
    assert sorted([*end.read, *end.unread]) == sorted(["slow one", *words, "end"])
    assert [word for word in end.read if word.startswith("word")] == words


async def test_an_entity_is_idle_only_after_its_last_word(bench: Bench, unique: str) -> None:
    """Every word begins the idle clock anew, and costs no timer of its own."""
    handle = await diary(bench, unique, idle_days=7)
    for word in ("monday", "friday"):
        await bench.environment.sleep(timedelta(days=4))
        await handle.signal("tell", word)
    before = await bench.environment.get_current_time()
    end = await handle.result()
    assert end.read == ("monday", "friday", "idle")
    assert await bench.environment.get_current_time() - before >= timedelta(days=6, hours=23)
    assert (await kinds(handle)).count(EventType.EVENT_TYPE_TIMER_STARTED) <= 4


async def test_the_idle_clock_goes_on_in_a_new_run(bench: Bench, unique: str) -> None:
    """A run that is full does not make it look busy."""
    handle = await diary(bench, unique, idle_days=7, touched_at="2000-01-01T00:00:00+00:00")
    assert (await handle.result()).read == ("idle",)


async def test_an_update_is_validated_and_answered(bench: Bench, unique: str) -> None:
    """What is refused touches nothing."""
    handle = await diary(bench, unique)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("write", "")
    assert await handle.execute_update("write", "end") == 1
    assert (await handle.result()).read == ("end",)


# --- Fan-out ------------------------------------------------------------------------------------------


async def fan_out(bench: Bench, unique: str, *jobs: str, **options: Any) -> WorkflowHandle[Any, list[str]]:
    """Start a workflow that does ``jobs`` at once."""
    return await bench.client.start_workflow(
        FanOutWorkflow.run, FanOutRun(jobs, **options), id=f"fan-out-{unique}", task_queue=QUEUE
    )


async def test_work_is_done_at_once_and_answered_in_order(bench: Bench, unique: str) -> None:
    """The first to end is not the first in the answer."""
    handle = await fan_out(bench, unique, "held a", "b", "c")
    await until(lambda: bench.outside.ended == ["b", "c"] or bench.outside.ended == ["c", "b"])
    bench.outside.go_on.set()
    assert await handle.result() == ["done held a", "done b", "done c"]


async def test_no_more_is_done_at_once_than_the_limit(bench: Bench, unique: str) -> None:
    """Ten pieces, three at once."""
    jobs = [f"{'held ' if number < 3 else ''}{number}" for number in range(10)]
    handle = await fan_out(bench, unique, *jobs, limit=3)
    await until(lambda: len(bench.outside.begun) == 3)
    bench.outside.go_on.set()
    assert await handle.result() == [f"done {job}" for job in jobs]
    assert bench.outside.most_at_once <= 3
    assert (await kinds(handle)).count(EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) == 10


async def test_the_first_failure_ends_the_rest(bench: Bench, unique: str) -> None:
    """What runs is cancelled and awaited, what waits for its turn never starts, the first failure is raised.

    Not that of an earlier piece of work which failed only once it was cancelled.
    """
    handle = await fan_out(bench, unique, "held a, then bad", "bad b", "c", limit=2)
    await until(lambda: "held a, then bad" in bench.outside.begun and "bad b" in bench.outside.ended)

    async def asked_to_end() -> bool:
        return EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED in await kinds(handle)

    await until(asked_to_end)
    bench.outside.go_on.set()
    assert await handle.result() == ["failed: bad b"]
    assert "c" not in bench.outside.begun


async def test_all_outcomes_are_collected_where_that_is_wanted(bench: Bench, unique: str) -> None:
    """A failure is an outcome like another."""
    handle = await fan_out(bench, unique, "a", "bad b", "c", collect=True, limit=1)
    assert await handle.result() == ["done a", "failed: bad b", "done c"]
