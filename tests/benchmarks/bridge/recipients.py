"""A worker, in a process of its own, whose workflows only listen. Its words are ``ADDRESS FILE``.

Each pick report that a workflow handles leaves a line in the file: when it was picked (which tells the reports apart)
and when it was handled, seconds since 1970. Repeats are dropped by `DedupeSignals`, as in our own workers.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from workflows.contracts.orders import PICK_COMPLETED
from workflows.dedupe import DedupeSignals

QUEUE: Final = "bench-recipients"
_WRITE_EVERY: Final = 0.1
_POLLERS: Final = 24
"""Requests for tasks that are open at once. With the SDK's five, tasks queued up at 50 a second on a busy server, while
the worker was idle (docs/decisions/0021)."""
_handled: list[str] = []


@workflow.defn(sandboxed=False)
class Recipient:
    """Takes pick reports until it is terminated."""

    @workflow.run
    async def run(self) -> None:
        """Listen."""
        await workflow.wait_condition(lambda: False)

    @workflow.signal(name=PICK_COMPLETED.name)
    def picked(self, report: dict[str, Any]) -> None:
        """Note the report."""
        if not workflow.unsafe.is_replaying():
            _handled.append(f"{report['picked_at']} {time.time():.6f}\n")


async def work(address: str, notes: Path) -> None:
    """Serve until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = await Client.connect(address)
    with ThreadPoolExecutor(8) as threads:
        async with Worker(
            client,
            task_queue=QUEUE,
            workflows=[Recipient],
            workflow_runner=UnsandboxedWorkflowRunner(),
            workflow_task_executor=threads,
            max_cached_workflows=5_000,
            max_concurrent_workflow_tasks=50,
            max_concurrent_workflow_task_polls=_POLLERS,
            plugins=[DedupeSignals()],
        ):
            print("ready", flush=True)
            while not stop.is_set():
                await _write(notes)
                await asyncio.sleep(_WRITE_EVERY)
    await _write(notes)


async def _write(notes: Path) -> None:
    lines, _handled[:] = _handled[:], []
    if lines:
        with notes.open("a") as file:
            file.writelines(lines)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], Path(sys.argv[2])))
