"""Counts the workflows that start: ``temporal_workflow_started_total``, which the SDK does not have.

A workflow counts when its code runs for the first time, on the worker that runs it. Not counted: replays, so
neither restarts of a worker nor evictions nor queries of closed workflows; and runs that go on with an earlier
one (continue-as-new, a schedule of the server, a retry of the workflow), so that started minus completed, failed and
cancelled is what is open. A worker that dies during the very first task of a workflow, before the server has
taken its answer, leaves that workflow to be counted again by the next: at least once, as counters of crashes go.

The other two metrics of 002 are the SDK's own: ``temporal_workflow_completed_total``, also of a continued run
once it ends, and ``temporal_activity_execution_latency`` (a histogram in milliseconds). All three stand on the
worker's ``/metrics``.

Source: 002, "Metrics".
"""

from __future__ import annotations

from typing import Any, Final

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

STARTED: Final = "temporal_workflow_started"
"""The counter's name; the exporter adds ``_total``."""


class CountStarts(Interceptor):
    """Counts the starts of every workflow of a worker, by type, task queue and namespace."""

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002, ARG002 - the signature is the SDK's
    ) -> type[WorkflowInboundInterceptor] | None:
        """The part of it that runs inside a workflow."""
        return _CountingInbound


class _CountingInbound(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002 - the SDK's name
        if workflow.info().continued_run_id is None:
            # the meter of a workflow is silent during replay
            workflow.metric_meter().create_counter(STARTED, "Workflows started, without continued runs.").add(
                1
            )
        return await super().execute_workflow(input)
