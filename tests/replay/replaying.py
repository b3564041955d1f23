"""Replaying stored histories, here or in a process of its own (``python -m tests.replay.replaying FILES``)."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner, WorkflowRunner

from tests.replay.scenarios import FLOOD
from workflows.worker import WORKFLOWS, interceptors, plugins, sandbox


def todays_replayer(runner: WorkflowRunner | None = None) -> Replayer:
    """Runs today's workflows as a worker does, in its sandbox unless told another ``runner``."""
    return Replayer(
        workflows=[workflow for workflows in WORKFLOWS.values() for workflow in workflows],
        interceptors=interceptors(),
        plugins=plugins(FLOOD),
        workflow_runner=runner or sandbox(strict=True),
    )


async def replay(replayer: Replayer, paths: Sequence[Path]) -> dict[str, str]:
    """Replay the histories, one after the other; what failed, by path.

    Many in one call cost little more than one: every call loads all workflows anew.
    """

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for path in paths:
            yield WorkflowHistory.from_json(str(path), path.read_text())

    async with replayer.workflow_replay_iterator(histories()) as results:
        return {
            result.history.workflow_id: repr(result.replay_failure)
            async for result in results
            if result.replay_failure is not None
        }


if __name__ == "__main__":
    # Without the sandbox, which costs more than replaying does and knows nothing of the order of a set.
    sys.stdout.write(
        json.dumps(
            asyncio.run(
                replay(todays_replayer(UnsandboxedWorkflowRunner()), [Path(name) for name in sys.argv[1:]])
            )
        )
    )
    sys.stdout.flush()
    # The SDK's own threads may still end when the interpreter does, which aborts it now and then
    # (PyGILState_Release while finalizing). Everything is said: leave without the interpreter's farewell.
    os._exit(0)
