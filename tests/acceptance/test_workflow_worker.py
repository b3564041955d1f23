"""``tidegate worker``: one process, one queue, stopped cleanly."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from infra.ids import order_id_of
from tests.forked import ForkedProcess, fork_tidegate
from tests.workflow_support import FakeContexts, new_namespace, submission
from workflows.activities.contracts.orders import VALIDATE_ORDER
from workflows.contracts.orders import GET_STATUS
from workflows.worker import build_worker


@asynccontextmanager
async def worker_process(
    address: str, namespace: str, home: Path, *arguments: str
) -> AsyncIterator[ForkedProcess]:
    """``tidegate worker`` with ``arguments``; killed in the end if it still runs."""
    environment = {
        **os.environ,
        "TIDEGATE_HOME": str(home),
        "TIDEGATE_TEMPORAL__ADDRESS": address,
        "TIDEGATE_TEMPORAL__NAMESPACE": namespace,
    }
    process = await fork_tidegate("worker", *arguments, environment=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def line_with(process: ForkedProcess, word: str) -> str:
    """The first line of the process's log that has ``word``."""
    async with asyncio.timeout(60):
        async for line in process.stderr:
            if word in line.decode():
                return line.decode()
    raise AssertionError(f"the process ended without {word!r}")


async def test_a_worker_runs_workflows_and_stops_when_it_is_asked(
    temporal_address: str, tmp_path: Path, unique: str
) -> None:
    """It says "ready", runs an intake under the identity of its queue and number, and SIGTERM ends it with 0."""
    async with (
        new_namespace(temporal_address) as world,
        build_worker(world.client, "oms", activities=FakeContexts().implementations("oms")),
        worker_process(
            temporal_address, world.client.namespace, tmp_path, "--queue", "order-processing", "--number", "7"
        ) as process,
    ):
        await line_with(process, "ready")
        handle = await world.take_in(submission(unique), unique)
        assert await handle.result() == order_id_of(unique)
        assert await handle.query(GET_STATUS) == "CREATED"
        history = await handle.fetch_history()
        identities = {
            event.workflow_task_completed_event_attributes.identity
            for event in history.events
            if event.HasField("workflow_task_completed_event_attributes")
        }
        assert identities == {"order-processing-worker-7"}
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--queue", "nobodys"), 2, "no worker serves the queue 'nobodys'"),
        (("--queue", "order-processing"), 1, "Temporal at 127.0.0.1:1 does not answer"),
    ],
    ids=["unknown-queue", "no-server"],
)
async def test_a_worker_that_cannot_run_says_why_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], status: int, message: str
) -> None:
    """Misuse is status 2, a server that is not there status 1; no traceback."""
    async with worker_process("127.0.0.1:1", "default", tmp_path, *arguments) as process:
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
        assert process.returncode == status
        assert message in errors.decode()
        assert "Traceback" not in errors.decode()


async def test_an_activity_under_way_finishes_before_its_worker_stops(
    temporal_address: str, unique: str
) -> None:
    """graceful_shutdown_timeout: stopping a context's worker loses no attempt."""
    async with new_namespace(temporal_address) as world:
        contexts, under_way, go_on = FakeContexts(), asyncio.Event(), asyncio.Event()

        async def hold(_: object) -> None:
            under_way.set()
            await go_on.wait()

        contexts.answer(order_id_of(unique), VALIDATE_ORDER, hold)
        client: Client = world.client
        async with build_worker(client, "order-processing", strict=True):
            first = build_worker(client, "oms", activities=contexts.implementations("oms"))
            running = asyncio.create_task(first.run())
            handle = await world.take_in(submission(unique), unique)
            await under_way.wait()
            stopping = asyncio.create_task(first.shutdown())
            await asyncio.sleep(0)
            go_on.set()
            await stopping
            await running
            async with build_worker(client, "oms", activities=contexts.implementations("oms"), number=2):
                assert await handle.result() == order_id_of(unique)
        assert [name for name, _ in contexts.arguments[order_id_of(unique)]].count("ValidateOrder") == 1
