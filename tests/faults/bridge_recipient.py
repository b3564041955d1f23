"""The workflow that the events of a run are for: it remembers every event whose signal it handled, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

import stamina
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.plugin import SimplePlugin
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from tests.faults.bridge_plan import Role
from workflows.contracts.base import EVENT_ID_HEADER
from workflows.dedupe import DedupeSignals

TURN_AFTER: Final = 5
"""Signals of a run after which a workflow that is ``CONTINUED`` asks for another."""
CLOSE_AFTER: Final = 8
"""Signals after which one that is ``CLOSING`` ends."""
_PATIENCE: Final = timedelta(minutes=5)
"""For the answer of a workflow that has hundreds of signals to handle first, on a machine that others use: the server
gives up a question after ten seconds."""
TASK_TIMEOUT: Final = timedelta(seconds=2)
"""After which a task is given to a worker again whose answer died with the server."""


@dataclass(frozen=True, slots=True)
class Life:
    """How a recipient lives (0: it does not turn, or close), and the event ids that its earlier runs have handled."""

    turn_after: int = 0
    close_after: int = 0
    handled: tuple[str, ...] = ()


@workflow.defn
class Recipient:
    """Takes any signal. It reads the event's id from the header, where the bridge has put it."""

    @workflow.init
    def __init__(self, life: Life) -> None:
        self.life = life
        self.handled = list(life.handled)

    @workflow.run
    async def run(self, life: Life) -> None:
        """Listen, through as many runs as it takes, until it closes."""
        await workflow.wait_condition(lambda: self._turns() or self._closes())
        if not self._closes():
            workflow.continue_as_new(replace(life, handled=tuple(self.handled)))

    def _turns(self) -> bool:
        return 0 < self.life.turn_after <= len(self.handled) - len(self.life.handled)

    def _closes(self) -> bool:
        return 0 < self.life.close_after <= len(self.handled)

    @workflow.signal(dynamic=True)
    def take(self, name: str, arguments: Sequence[RawValue]) -> None:
        """The signal has got as far as its handler; ``NoteEvents`` has noted which event it was."""

    @workflow.query
    def told(self) -> list[str]:
        """The ids of the events handled so far, in order, those of earlier runs included."""
        return self.handled


class NoteEvents(Interceptor):
    """Tells the workflow which event a signal is; it stands behind whatever drops signals."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the signature is the SDK's
    ) -> type[WorkflowInboundInterceptor]:
        """The part of it that runs inside a workflow."""
        return _Noting


class _Noting(WorkflowInboundInterceptor):
    async def handle_signal(self, input: HandleSignalInput) -> None:  # noqa: A002 - the SDK's name
        recipient = workflow.instance()
        assert isinstance(recipient, Recipient)
        event_id = workflow.payload_converter().from_payload(input.headers[EVENT_ID_HEADER], str)
        recipient.handled.append(event_id)
        await super().handle_signal(input)


@dataclass(frozen=True, slots=True)
class Recipients:
    """The recipients of one run, and their workers.

    Those that turn or close have a worker from the beginning, for only a worker lets them; the others get theirs at
    the end and handle all their signals in one task, which is what makes thousands of signals cheap.
    """

    client: Client
    queue: str
    dedupe: bool = True
    """False breaks a guard: workers without :class:`DedupeSignals`."""

    async def start(self, workflow_id: str, role: Role) -> None:
        """Start the workflow of a key."""
        life = Life(
            turn_after=TURN_AFTER if role is Role.CONTINUED else 0,
            close_after=CLOSE_AFTER if role is Role.CLOSING else 0,
        )
        lively = role in {Role.CONTINUED, Role.CLOSING}
        queue = self._lively if lively else self._calm
        await self.client.start_workflow(
            Recipient.run, life, id=workflow_id, task_queue=queue, task_timeout=TASK_TIMEOUT
        )

    def lively(self) -> Worker:
        """The worker of those that turn or close."""
        return self._worker(self._lively)

    def calm(self) -> Worker:
        """The worker of the others."""
        return self._worker(self._calm)

    async def told(self, workflow_id: str) -> list[str]:
        """What a workflow has handled; both workers must run."""
        handle = self.client.get_workflow_handle(workflow_id)
        async for attempt in stamina.retry_context(on=_not_in_time, attempts=None, timeout=_PATIENCE):
            with attempt:
                return await handle.query(Recipient.told)
        raise AssertionError  # the last attempt returns or raises

    @property
    def _lively(self) -> str:
        return f"{self.queue}-lively"

    @property
    def _calm(self) -> str:
        return f"{self.queue}-calm"

    def _worker(self, queue: str) -> Worker:
        noting = SimplePlugin("note-events", interceptors=[NoteEvents()])
        return Worker(
            self.client,
            task_queue=queue,
            workflows=[Recipient],
            plugins=[*([DedupeSignals()] if self.dedupe else []), noting],
            workflow_runner=UnsandboxedWorkflowRunner(),
            max_cached_workflows=200,
        )


def _not_in_time(error: Exception) -> bool:
    return isinstance(error, RPCError) and error.status in {
        RPCStatusCode.CANCELLED,
        RPCStatusCode.DEADLINE_EXCEEDED,
    }
