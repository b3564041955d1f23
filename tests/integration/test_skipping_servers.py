"""Servers whose clock can be skipped are lent on only with nothing left on them that the next test could meet."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.api.testservice.v1 import LockTimeSkippingRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import Worker

from infra.local.probes import temporal_answers
from infra.local.process import free_ports
from tests.blocks_workflows import QUEUE, GateRun, GateWorkflow
from tests.skipping import SkippingServers
from tests.waiting import until
from workflows.worker import interceptors, sandbox


@asynccontextmanager
async def waiting_for_ever(client: Client) -> AsyncIterator[WorkflowHandle[Any, Any]]:
    """A workflow that waits, all of its tasks done; its worker is gone at the end and it is not."""
    async with Worker(
        client,
        task_queue=QUEUE,
        workflows=[GateWorkflow],
        interceptors=interceptors(),
        workflow_runner=sandbox(strict=True),
    ):
        handle = await client.start_workflow(GateWorkflow.run, GateRun("left"), id="left", task_queue=QUEUE)

        async def waits() -> bool:
            events = (await handle.fetch_history()).events
            return events[-1].event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED

        await until(waits, what="its task is done")
        yield handle


async def test_the_next_test_finds_nothing_of_the_one_before(skipping_servers: SkippingServers) -> None:
    """The same server in another namespace; the workflow that was left open has ended, and the clock is free."""
    async with skipping_servers.lend() as first, waiting_for_ever(first.client) as left:
        pass
    assert (await left.describe()).status is WorkflowExecutionStatus.TERMINATED
    async with skipping_servers.lend() as second:
        assert second.environment is first.environment
        assert second.client.namespace != first.client.namespace
        before = await second.environment.get_current_time()
        await second.environment.sleep(timedelta(hours=1))
        assert await second.environment.get_current_time() - before >= timedelta(hours=1)


async def test_a_test_that_fails_leaves_nothing_either(skipping_servers: SkippingServers) -> None:
    """Its error comes through, and its workflow has ended."""
    with pytest.raises(ZeroDivisionError):
        async with skipping_servers.lend() as clock, waiting_for_ever(clock.client) as left:
            raise ZeroDivisionError
    assert (await left.describe()).status is WorkflowExecutionStatus.TERMINATED


async def test_a_server_ends_when_its_parent_is_killed(time_skipping_server: Path) -> None:
    """The SDK starts it, and whoever is killed cannot end it."""
    [port] = free_ports(1)
    start = f"import subprocess; subprocess.run([{str(time_skipping_server)!r}, '{port}'])"
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", start)

    async def answers() -> bool:
        try:
            return await temporal_answers(port)
        except OSError:
            return False

    async def has_ended() -> bool:
        return not await answers()

    try:
        await until(answers, seconds=60, what="the server answers")
    finally:
        parent.kill()
        await parent.wait()
    await until(has_ended, seconds=60, what="the server has ended")


async def test_a_clock_is_lent_to_one_at_a_time(skipping_servers: SkippingServers) -> None:
    """Whoever skips it would skip it for the other."""
    async with skipping_servers.lend() as one, skipping_servers.lend() as other:
        assert one.environment is not other.environment


async def test_a_server_whose_clock_is_held_is_not_lent_again(skipping_servers: SkippingServers) -> None:
    """What holds it cannot be listed, only noticed; a task that nobody took, and is now nobody's, is one."""
    async with skipping_servers.lend() as first:
        await first.client.start_workflow("Nobodys", id="nobodys", task_queue="nobodys")
    async with skipping_servers.lend() as second:
        assert second.environment is not first.environment
        await second.environment.client.test_service.lock_time_skipping(LockTimeSkippingRequest())
    async with skipping_servers.lend() as third:
        assert third.environment not in (first.environment, second.environment)
