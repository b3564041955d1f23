"""The words in which activities are described to the workflows: name, queue, what goes in, what comes out.

Workflows import these contracts and never the implementations, so a workflow worker loads no service and no
database driver. What goes in are references; the data is read where it is owned (design §2).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityHandle

from workflows.policies import QUICK, UNLIMITED

Input = TypeVar("Input")
Output = TypeVar("Output")


@dataclass(frozen=True, slots=True)
class ActivityContract(Generic[Input, Output]):
    """An activity: its name, the queue of the context that owns it, how long one attempt may take, how often."""

    name: str
    queue: str
    input: type[Input]
    output: type[Output]
    start_to_close: timedelta = QUICK
    retry: RetryPolicy = field(default_factory=lambda: UNLIMITED)  # a policy is mutable: no plain default

    async def __call__(self, argument: Input) -> Output:
        """Run it as often as ``retry`` allows. Raises ``ActivityError`` for what that cannot mend."""
        return await self.start(argument)

    def start(self, argument: Input, *, clock: timedelta | None = None) -> ActivityHandle[Output]:
        """Start it, to be tried again as ``retry`` says, for at most ``clock``.

        Cancelling the handle ends the retries and lets an attempt that is under way finish first, so that
        what follows knows whether it had its effect.
        """
        handle: ActivityHandle[Output] = workflow.start_activity(
            self.name,
            argument,
            task_queue=self.queue,
            result_type=self.output,
            start_to_close_timeout=self.start_to_close,
            schedule_to_close_timeout=clock,
            retry_policy=self.retry,
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        )
        return handle
