"""Work that is finished although whoever waits for it is told to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")


async def to_the_end(work: Coroutine[None, None, Result]) -> Result:
    """Wait until ``work`` is over, even if this task is cancelled meanwhile, and be it twice (a second Ctrl-C); the
    cancellation is raised then. ``work`` must have an end of its own.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        await asyncio.gather(task, return_exceptions=True)
        raise cancelled
    return task.result()
