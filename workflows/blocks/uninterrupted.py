"""Steps that a cancellation in Temporal does not cut: they are told, and end where they choose to.

The SDK raises ``CancelledError`` wherever the workflow's own task waits, and where it waits for an activity that
goes on to succeed, the cancellation is lost. So the steps run beside the task that takes the cancellation.

Source: 003, "Cancellation & Compensation".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from temporalio import workflow

Result = TypeVar("Result")


async def uninterrupted(steps: Coroutine[Any, Any, Result], cancelled: Callable[[], None]) -> Result:
    """What ``steps`` give or raise; ``cancelled()`` is called when Temporal asks the workflow to end."""
    under_way = asyncio.create_task(steps)
    while not under_way.done():
        try:
            await workflow.wait_condition(under_way.done)
        except asyncio.CancelledError:
            cancelled()
    return under_way.result()
