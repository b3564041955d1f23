"""What is sent to Temporal for an event: a start, a signal, both at once, or a cancellation.

The SDK draws a random request id for each signal, so a retry after a lost answer would signal twice. Here it is
``"<event id>:<what>"``, the same for every try. The event's id also travels as a header, for the worker's
``DedupeSignals``. Source: design §6, "Twice is once"; docs/decisions/0015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from temporalio.api.common.v1 import Header, Payload, Payloads, WorkflowExecution, WorkflowType
from temporalio.api.enums.v1 import (
    TaskQueueKind,
    UpdateWorkflowExecutionLifecycleStage,
    WorkflowIdConflictPolicy,
    WorkflowIdReusePolicy,
)
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.update.v1 import Input, Meta, Request, WaitPolicy
from temporalio.api.workflowservice.v1 import (
    RequestCancelWorkflowExecutionRequest,
    SignalWithStartWorkflowExecutionRequest,
    SignalWorkflowExecutionRequest,
    StartWorkflowExecutionRequest,
    UpdateWorkflowExecutionRequest,
)

from consumers.bridge.route import Route
from consumers.bridge.tracing import BridgeTracing
from workflows.contracts.base import CONTINUE_AS_NEW_UPDATE, EVENT_ID_HEADER

_ONCE = WorkflowIdReusePolicy.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE
"""An entity that has closed is never started again."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one workflow."""

    event_id: UUID
    route: Route
    workflow_id: str
    argument: Mapping[str, Any]
    """The event's fields as JSON: the one argument of the start, of the signal, or of both."""

    @property
    def request_id(self) -> str:
        """The same for every try of this delivery, and for no other."""
        return f"{self.event_id}:{'cancel' if self.route.action == 'cancel' else self.route.target}"


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends, and to which namespace; ``identity`` stands in the history beside what was sent."""

    namespace: str
    identity: str
    tracing: BridgeTracing = field(default_factory=BridgeTracing)

    def start(self, delivery: Delivery, argument: Payloads) -> StartWorkflowExecutionRequest:
        """Start the workflow, if none with its id runs or ran."""
        return StartWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_id=delivery.workflow_id,
            workflow_type=WorkflowType(name=delivery.route.workflow or ""),
            task_queue=_queue(delivery.route),
            input=argument,
            identity=self.identity,
            request_id=delivery.request_id,
            workflow_id_reuse_policy=_ONCE,
            workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
            header=self._header(delivery),
        )

    def signal(self, delivery: Delivery, argument: Payloads) -> SignalWorkflowExecutionRequest:
        """Signal the workflow, if it runs."""
        return SignalWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_execution=WorkflowExecution(workflow_id=delivery.workflow_id),
            signal_name=delivery.route.target,
            input=argument,
            identity=self.identity,
            request_id=delivery.request_id,
            header=self._header(delivery),
        )

    def signal_with_start(
        self, delivery: Delivery, argument: Payloads
    ) -> SignalWithStartWorkflowExecutionRequest:
        """Signal the workflow if it runs; start it with the signal if none with its id ran."""
        return SignalWithStartWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_id=delivery.workflow_id,
            workflow_type=WorkflowType(name=delivery.route.workflow or ""),
            task_queue=_queue(delivery.route),
            input=argument,
            identity=self.identity,
            request_id=delivery.request_id,
            workflow_id_reuse_policy=_ONCE,
            workflow_id_conflict_policy=WorkflowIdConflictPolicy.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
            signal_name=delivery.route.target,
            signal_input=argument,
            header=self._header(delivery),
        )

    def cancel(self, delivery: Delivery) -> RequestCancelWorkflowExecutionRequest:
        """Ask the workflow to cancel itself; its history says for which event."""
        return RequestCancelWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_execution=WorkflowExecution(workflow_id=delivery.workflow_id),
            identity=self.identity,
            request_id=delivery.request_id,
            reason=f"event {delivery.event_id}",
        )

    def ask_for_a_new_run(self, workflow_id: str) -> UpdateWorkflowExecutionRequest:
        """Ask the run of the workflow to continue as new, by the update that ``DedupeSignals`` gives it: once a run."""
        accepted = UpdateWorkflowExecutionLifecycleStage.UPDATE_WORKFLOW_EXECUTION_LIFECYCLE_STAGE_ACCEPTED
        return UpdateWorkflowExecutionRequest(
            namespace=self.namespace,
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            wait_policy=WaitPolicy(lifecycle_stage=accepted),
            request=Request(
                meta=Meta(update_id="signal-limit", identity=self.identity),
                input=Input(name=CONTINUE_AS_NEW_UPDATE),
            ),
        )

    def _header(self, delivery: Delivery) -> Header:
        # The event's id as the SDK's own converter would write it; that takes longer than the rest of the request.
        event_id = Payload(metadata={"encoding": b"json/plain"}, data=f'"{delivery.event_id}"'.encode())
        return Header(fields={EVENT_ID_HEADER: event_id, **self.tracing.headers()})


def _queue(route: Route) -> TaskQueue:
    return TaskQueue(name=route.queue or "", kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL)
