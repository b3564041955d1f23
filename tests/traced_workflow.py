"""A workflow that waits for a signal and then has its outcome published, for the test that walks a trace."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RawValue

from workflows.contracts.base import SignalContract, WorkflowContract


@dataclass(frozen=True, slots=True)
class Anything:
    """An event's fields; the workflow looks at none."""

    order_id: str


PICKED = SignalContract("PickCompleted", Anything)


def traced(queue: str) -> WorkflowContract:
    """The workflow as its sender sees it, on a queue of the test's own."""
    return WorkflowContract("Traced", queue, "traced-{order_id}", Anything)


@workflow.defn
class Traced:
    """Started by one event, let go on by another, it has a third published."""

    def __init__(self) -> None:
        self._picked = False

    @workflow.run
    async def run(self, order: dict[str, Any]) -> None:
        """Wait for the pick, then publish."""
        await workflow.wait_condition(lambda: self._picked)
        await workflow.execute_activity(
            "publish", order["order_id"], start_to_close_timeout=timedelta(seconds=30)
        )

    @workflow.signal(name=PICKED.name)
    def picked(self, _: RawValue) -> None:
        """The order was picked."""
        self._picked = True
