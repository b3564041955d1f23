"""Events that an activity publishes say which workflow it ran for."""

from __future__ import annotations

from typing import Any

from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from outbox.origin import on_behalf_of


class StampOrigin(Interceptor):
    """Puts ``ce_workflowid`` on every event that an activity of this worker appends to an outbox."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the signature is the SDK's
        """The part of it around one attempt."""
        return _StampOrigin(next)


class _StampOrigin(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the signature is the SDK's
        workflow_id = activity.info().workflow_id
        if workflow_id is None:
            return await super().execute_activity(input)
        with on_behalf_of(workflow_id=workflow_id):
            return await super().execute_activity(input)
