"""Servers of Temporal whose clock can be skipped: each lent to one test at a time, in a namespace of the test's own."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.api.workflowservice.v1 import ListOpenWorkflowExecutionsRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from workflows.visibility import SEARCH_ATTRIBUTES

_STARTS_WITHIN: Final = timedelta(seconds=60)  # a JVM, on a machine that may be busy
_STEP: Final = timedelta(minutes=5)
_STEP_WITHIN: Final = 3.0
"""Seconds of the real clock. A server that is only slow is ended for nothing, and no more than that."""


@dataclass(frozen=True, slots=True)
class SkippedClock:
    """A server of which nobody else has the clock, and a client of a namespace that nobody else has."""

    client: Client
    environment: WorkflowEnvironment


class SkippingServers:
    """Starts a server when none is free, and lends it on when the test before has left nothing on it.

    A server is a JVM, of which the start costs more than most tests (docs/decisions/0022). What could reach the next
    test from the one before: its tasks, which are in queues of another namespace; and its open workflows, which hold
    the clock, and are terminated. A server whose clock is held all the same is ended and not lent again.
    """

    def __init__(self, launcher: Path) -> None:
        self._launcher = launcher
        self._free: list[WorkflowEnvironment] = []
        self._running = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncIterator[SkippedClock]:
        """A server for one test, or for the tests of one module if each closes what it opens."""
        environment = self._free.pop() if self._free else await self._start()
        options = environment.client.config()
        options["namespace"] = f"skipped-{secrets.token_hex(4)}"
        client = Client(**options)
        try:
            yield SkippedClock(client, environment)
        finally:
            await _terminate_all(client)
            if await _can_be_skipped(environment):
                self._free.append(environment)
            else:
                await environment.shutdown()

    async def _start(self) -> WorkflowEnvironment:
        environment = await self._running.enter_async_context(
            await WorkflowEnvironment.start_time_skipping(
                test_server_existing_path=str(self._launcher), test_server_startup_timeout=_STARTS_WITHIN
            )
        )
        kinds = {key.name: key.indexed_value_type.value for key in SEARCH_ATTRIBUTES}
        await environment.client.operator_service.add_search_attributes(  # in all namespaces, those to come as well
            AddSearchAttributesRequest(namespace=environment.client.namespace, search_attributes=kinds)  # type: ignore[arg-type]
        )
        return environment


async def _terminate_all(client: Client) -> None:
    """End what is open in the namespace; the server lists what is open in any."""
    while True:
        listed = await client.workflow_service.list_open_workflow_executions(
            ListOpenWorkflowExecutionsRequest(namespace=client.namespace)
        )
        ended = 0
        for one in listed.executions:
            handle = client.get_workflow_handle(one.execution.workflow_id, run_id=one.execution.run_id)
            try:
                await handle.terminate()
                ended += 1
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
        if not ended:
            return


async def _can_be_skipped(environment: WorkflowEnvironment) -> bool:
    try:
        async with asyncio.timeout(_STEP_WITHIN):
            await environment.sleep(_STEP)
    except TimeoutError:
        return False
    return True
