"""DedupeSignals comes to workers whose workflows are under way, and goes again: every run replays as it went."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client, WorkflowHistory, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from tests.dedupe_support import WORKFLOWS, Teller
from tests.replay.test_workflow_replay import STORED
from workflows import worker
from workflows.dedupe import DedupeSignals


@pytest_asyncio.fixture(loop_scope="session")
async def client(temporal_address: str) -> Client:
    """A client of the real server."""
    return await Client.connect(temporal_address)


async def replays(history: WorkflowHistory, *plugins: DedupeSignals) -> bool:
    """Whether ``history`` replays on a worker with ``plugins``."""
    replayer = Replayer(
        workflows=WORKFLOWS, plugins=list(plugins), workflow_runner=UnsandboxedWorkflowRunner()
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    return result.replay_failure is None


async def test_a_run_that_took_a_repeat_without_the_plugin_goes_on_with_it(
    client: Client, unique: str
) -> None:
    """What the run took twice it keeps, what comes again is dropped; the marker that says from where makes it so."""
    teller = Teller(client, f"chime-{unique}")
    async with teller.plain_worker():
        await teller.start("Chime")
        await teller.tell("1", "a")
        await teller.tell("1", "a")
        await teller.heard("a", "a")
    before = await teller.history()
    assert await replays(before, DedupeSignals())
    assert not await replays(before, DedupeSignals(decisions="unmarked")), (
        "the mutation: decide without a marker"
    )
    async with teller.worker():
        await teller.tell("1", "a")
        await teller.tell("2", "b")
        await teller.heard("a", "a", "b")
    async with teller.worker():
        await teller.tell("2", "b")
        await teller.tell("3", "c")
        await teller.heard("a", "a", "b", "c")
    assert await teller.markers() == ["tidegate-drops-from-3"]
    assert await replays(await teller.history(), DedupeSignals())
    assert not await replays(await teller.history(), DedupeSignals(decisions="unmarked"))
    async with teller.worker(decisions="replayed"):
        await teller.tell("3", "c")
        assert await teller.end() == ["a", "a", "b", "c", "end"], "a run that has begun to drop goes on"
    assert await replays(await teller.history(), DedupeSignals(decisions="replayed"))
    assert not await replays(await teller.history()), "why a plugin is taken out by way of 'replayed'"


async def test_a_run_without_repeats_has_nothing_of_the_plugin_in_its_history(
    client: Client, unique: str
) -> None:
    """So it replays without it; and a worker that takes the plugin out drops nothing in it."""
    teller = Teller(client, f"chime-{unique}")
    async with teller.worker():
        await teller.start("Chime")
        await teller.tell("1", "a")
        await teller.heard("a")
    assert await replays(await teller.history())
    async with teller.worker(decisions="replayed"):
        await teller.tell("1", "a")
        await teller.heard("a", "a")
    async with teller.plain_worker():
        assert await teller.end() == ["a", "a", "end"]
    assert await teller.markers() == []


async def test_a_run_that_is_full_already_is_asked_once_the_plugin_is_there(
    client: Client, unique: str
) -> None:
    """It went on past the bound without the plugin, replays so, and continues as new at its next signal."""
    teller = Teller(client, f"chime-{unique}")
    async with teller.plain_worker():
        await teller.start("Chime")
        for number in range(5):
            await teller.tell(str(number), "a")
            await teller.heard(*"aaaaa"[: number + 1])
    before = await teller.history()
    assert await replays(before, DedupeSignals(signals_per_run=3))
    assert not await replays(before, DedupeSignals(signals_per_run=3, decisions="unmarked"))
    async with teller.worker(signals_per_run=3):
        await teller.tell("5", "b")
        await teller.heard(*"aaaaab|")
        assert await teller.end() == [*"aaaaab|", "end"]


async def test_a_run_that_gets_no_more_signals_is_asked_by_the_reserved_update(
    client: Client, unique: str
) -> None:
    """An update needs no room for a signal. What was seen goes on with it, and a restart of the worker replays it."""
    teller = Teller(client, f"tally-{unique}")
    async with teller.plain_worker():
        await teller.start()
        await teller.tell("1", "a")
        await teller.heard("a")
    first = (await teller.handle.describe()).run_id
    async with teller.worker():
        assert await teller.ask_for_a_new_run() == {"run_id": first, "signals": 1}
        await teller.heard("a", "|")
    asked = await client.get_workflow_handle(teller.name, run_id=first).fetch_history()
    assert await replays(asked, DedupeSignals(decisions="replayed"))
    assert not await replays(asked), "why a run that was asked is to end before the plugin goes"
    async with teller.worker():
        await teller.tell("1", "a")
        assert await teller.end() == ["a", "|", "end"]


async def test_a_workflow_that_never_looks_refuses_to_be_asked(client: Client, unique: str) -> None:
    """An update that changes nothing would lie; a refusal leaves no trace in the history."""
    teller = Teller(client, f"deaf-{unique}")
    async with teller.worker():
        await teller.start("Deaf")
        await teller.heard()
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await teller.ask_for_a_new_run()
        assert isinstance(refused.value.cause, ApplicationError)
        assert refused.value.cause.type == "NotOptedIn"
        assert await teller.end() == ["end"]
    assert await replays(await teller.history())


def one_of_each() -> list[Path]:
    """The longest stored history of each workflow among the runs that no count of signals has ended."""
    stored: dict[str, list[Path]] = defaultdict(list)
    for path in STORED:
        if "CONTINUED_AS_NEW" not in path.read_text():
            stored[path.parts[-3]].append(path)
    return [max(paths, key=lambda path: path.stat().st_size) for paths in stored.values()]


async def test_stored_histories_without_a_decision_replay_with_the_plugin_added() -> None:
    """Nothing of theirs says whether there was a plugin: they are what a worker without it has written."""
    paths = one_of_each()
    assert len(paths) == len({path.parts[-3] for path in STORED})
    replayer = Replayer(
        workflows=[workflow for each in worker.WORKFLOWS.values() for workflow in each],
        interceptors=worker.interceptors(),
        plugins=[DedupeSignals()],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    failures: dict[str, Any] = {}
    for path in paths:
        history = WorkflowHistory.from_json(path.stem, path.read_text())
        result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
        if result.replay_failure:
            failures[path.stem] = result.replay_failure
    assert failures == {}
