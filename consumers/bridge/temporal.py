"""The edge to Temporal: one event delivered to one workflow, and what the server's answers come to.

A signal costs one call. Where the answer leaves the outcome open a second call settles it: `describe` after "not
found" and after a cancellation, a plain signal after a signal-with-start that found a closed workflow. Calls are not
repeated here: the runtime does that, with the same request ids. Source: design §6; docs/decisions/0015.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry
from temporalio.api.common.v1 import Payloads, WorkflowExecution
from temporalio.api.enums.v1 import WorkflowExecutionStatus
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
)
from temporalio.client import Client
from temporalio.service import RPCError

from consumers.bridge.adaptive_limit import AdaptiveLimit
from consumers.bridge.answers import answer_of, is_overload
from consumers.bridge.call_gate import CallGate
from consumers.bridge.delivery import Answer, Decision, Existence, Settle, Wait, decide
from consumers.bridge.metrics import DeliveryMetrics
from consumers.bridge.requests import Delivery, Sender
from consumers.bridge.tracing import BridgeTracing
from consumers.errors import DownstreamUnavailableError, KeyWaitsError

__all__ = ["Delivery", "TemporalGateway"]

Response = TypeVar("Response")

_RPC_TIMEOUT: Final = timedelta(seconds=10)
_LARGEST_REQUEST: Final = 4 * 1024 * 1024 - 64 * 1024
"""Bytes of argument beyond which gRPC itself (4 MiB) would refuse, as if the server were exhausted."""
_ASK_TIMEOUT: Final = timedelta(seconds=2)
"""An update waits for the workflow's worker, and a worker may be away: the key waits anyway, its lane should not."""
_AGAIN: Final = 3
_CLOSED: Final = frozenset(
    {
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_COMPLETED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_FAILED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_CANCELED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TERMINATED,
        WorkflowExecutionStatus.WORKFLOW_EXECUTION_STATUS_TIMED_OUT,
    }
)


class TemporalGateway:
    """Delivers into one namespace of one Temporal server, never more at once than ``limit`` allows.

    Safe to share between the tasks of one event loop.
    """

    def __init__(
        self,
        client: Client,
        *,
        rpc_timeout: timedelta = _RPC_TIMEOUT,
        limit: AdaptiveLimit | None = None,
        metrics: DeliveryMetrics | None = None,
        tracing: BridgeTracing | None = None,
    ) -> None:
        self._client = client
        self._service = client.workflow_service
        self._tracing = tracing or BridgeTracing()
        self._sender = Sender(client.namespace, client.identity, self._tracing)
        self._rpc_timeout = rpc_timeout
        limit = limit or AdaptiveLimit()
        self._gate = CallGate(limit)
        self._metrics = metrics or DeliveryMetrics(CollectorRegistry())
        self._metrics.watch(limit)

    async def deliver(self, delivery: Delivery) -> Settle:
        """Do what the route says, looking at the workflow where the answer is "not found"; never parks by itself.

        Raises :class:`DownstreamUnavailableError` or :class:`KeyWaitsError` where the delivery must be tried
        again; whether Temporal has taken the last try is then unknown, and the request id makes that
        harmless.
        """
        route = delivery.route
        early = route.early.action if route.early else None
        for _ in range(_AGAIN):
            answer, text = await self.send(delivery)
            decision = decide(answer, None, early=early, late=route.late)
            if decision is Wait.LOOK:
                existence, text = await self.look(delivery.workflow_id)
                decision = decide(answer, existence, early=early, late=route.late)
            if answer is Answer.SIGNAL_LIMIT:
                text = f"{text}; {await self._ask_for_a_new_run(delivery.workflow_id)}"
            if decision is not Wait.AGAIN:
                return _settled(decision, delivery, text)
        raise KeyWaitsError(
            f"{delivery.workflow_id} is there and is not, each time that {route.target} was tried"
        )

    async def send(self, delivery: Delivery) -> tuple[Answer, str]:
        """Do what the route says once; what the server said, and its words."""
        action = delivery.route.action
        with self._tracing.delivering(delivery.route, delivery.workflow_id, delivery.event_id):
            try:
                answer, text = await self._send(delivery), ""
            except RPCError as error:
                answer, text = answer_of(error), error.message
            self._tracing.answered(answer.value)
        self._metrics.answered(action, answer)
        return answer, text

    async def look(self, workflow_id: str) -> tuple[Existence, str]:
        """Whether the workflow runs, has closed or is not there; the server's words where it cannot say."""
        try:
            found = await self._describe(workflow_id)
        except RPCError as error:
            missing = answer_of(error) is Answer.NOT_FOUND
            return (Existence.MISSING if missing else Existence.UNKNOWN), error.message
        closed = found.workflow_execution_info.status in _CLOSED
        return (Existence.CLOSED if closed else Existence.RUNNING), ""

    async def answers(self) -> bool:
        """Whether the server answers and has the namespace."""
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        try:
            await self._service.describe_namespace(request, timeout=self._rpc_timeout)
        except RPCError:
            return False
        return True

    async def _send(self, delivery: Delivery) -> Answer:
        if delivery.route.action == "cancel":
            return await self._cancel(delivery)
        encoded = await self._client.data_converter.encode([dict(delivery.argument)])
        argument = Payloads(payloads=encoded)
        if argument.ByteSize() > _LARGEST_REQUEST:
            return Answer.TOO_LARGE
        match delivery.route.action:
            case "start":
                start = self._sender.start(delivery, argument)
                await self._call(
                    lambda: self._service.start_workflow_execution(start, timeout=self._rpc_timeout)
                )
            case "signal":
                await self._signal(delivery, argument)
            case "signal_with_start":
                return await self._signal_with_start(delivery, argument)
        return Answer.ACCEPTED

    async def _signal(self, delivery: Delivery, argument: Payloads) -> None:
        request = self._sender.signal(delivery, argument)
        await self._call(lambda: self._service.signal_workflow_execution(request, timeout=self._rpc_timeout))

    async def _signal_with_start(self, delivery: Delivery, argument: Payloads) -> Answer:
        request = self._sender.signal_with_start(delivery, argument)
        try:
            await self._call(
                lambda: self._service.signal_with_start_workflow_execution(request, timeout=self._rpc_timeout)
            )
        except RPCError as error:
            if answer_of(error) is not Answer.ALREADY_STARTED:
                raise
        else:
            return Answer.ACCEPTED
        # It has closed. Unlike the call above a signal is answered well where the run had it, under this very request
        # id, before it closed: then an earlier try got through and only its answer was lost.
        try:
            await self._signal(delivery, argument)
        except RPCError as error:
            if answer_of(error) is not Answer.NOT_FOUND:
                raise
            return Answer.CLOSED
        return Answer.ACCEPTED

    async def _cancel(self, delivery: Delivery) -> Answer:
        request = self._sender.cancel(delivery)
        await self._call(
            lambda: self._service.request_cancel_workflow_execution(request, timeout=self._rpc_timeout)
        )
        # A workflow that closed before is answered just as well: what the run knows tells whether it was too late.
        found = await self._describe(delivery.workflow_id)
        closed = found.workflow_execution_info.status in _CLOSED
        return (
            Answer.CLOSED if closed and not found.workflow_extended_info.cancel_requested else Answer.ACCEPTED
        )

    async def _ask_for_a_new_run(self, workflow_id: str) -> str:
        """Ask a workflow that can take no more signals to continue as new; what came of it."""
        request = self._sender.ask_for_a_new_run(workflow_id)
        try:
            answer = await self._service.update_workflow_execution(request, timeout=_ASK_TIMEOUT)
        except RPCError as error:
            return f"it could not be asked for a new run ({error.status.name})"
        refusal = answer.outcome.failure.message
        return f"it refuses a new run: {refusal}" if refusal else "it was asked for a new run"

    async def _describe(self, workflow_id: str) -> DescribeWorkflowExecutionResponse:
        request = DescribeWorkflowExecutionRequest(
            namespace=self._client.namespace, execution=WorkflowExecution(workflow_id=workflow_id)
        )
        return await self._call(
            lambda: self._service.describe_workflow_execution(request, timeout=self._rpc_timeout)
        )

    async def _call(self, call: Callable[[], Awaitable[Response]]) -> Response:
        return await self._gate.call(call, is_overload=is_overload)


def _settled(decision: Decision, delivery: Delivery, text: str) -> Settle:
    if isinstance(decision, Settle):
        return decision
    what = f"{delivery.route.action} {delivery.route.target} of {delivery.workflow_id}"
    if decision is Wait.KEY:
        raise KeyWaitsError(f"{what} must wait for the workflow: {text}")
    raise DownstreamUnavailableError(f"Temporal does not take {what}: {text}")
