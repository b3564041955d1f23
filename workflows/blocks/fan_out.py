"""Several things at once, in an order that replays.

Work is given as functions, so that nothing starts before its turn: with a ``limit`` of 5, the sixth starts when
one of the first five has ended. Results come in the order of the work. ``asyncio.wait`` and ``as_completed``
are built on sets and do not replay; ``workflow.wait`` does (facts, "Temporal").

Source: 002, "Added ValidateCard parallel activity"; 004, "Handle concurrent campaigns".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from temporalio import workflow

Result = TypeVar("Result")

Work = Callable[[], Awaitable[Result]]
"""An activity or a child workflow that has not been started yet, say ``lambda: VALIDATE_CARD(payment)``."""


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What became of one piece of work: a result, or the error that it ended with."""

    result: Result | None = None
    error: Exception | None = None


async def run_all(work: Sequence[Work[Result]], *, limit: int | None = None) -> list[Result]:
    """The results of all ``work``, at most ``limit`` at once, in the order of the work.

    At the first failure nothing more is started, what runs is cancelled and awaited, so that its effect is
    known, and the failure is raised; of failures that come together, that of the earliest work.
    """
    tasks, failed = await _run(work, limit, stop_at=lambda task: task.exception() is not None)
    if failed:
        failed[0].result()
    return [task.result() for task in tasks]


async def collect_all(work: Sequence[Work[Result]], *, limit: int | None = None) -> list[Outcome[Result]]:
    """What became of each of ``work``, at most ``limit`` at once, in the order of the work. Raises for none."""
    outcomes: list[Outcome[Result]] = []
    tasks, _ = await _run(work, limit, stop_at=lambda _: False)
    for task in tasks:
        error = task.exception()
        if error is None:
            outcomes.append(Outcome(task.result()))
        elif isinstance(error, Exception):
            outcomes.append(Outcome(error=error))
        else:
            raise error
    return outcomes


async def _run(
    work: Sequence[Work[Result]], limit: int | None, *, stop_at: Callable[[asyncio.Task[Result]], bool]
) -> tuple[list[asyncio.Task[Result]], list[asyncio.Task[Result]]]:
    """The tasks that were started, all ended, and those of them that made it stop; both in the order of ``work``.

    Those that stopped it are noted before the others are cancelled: a cancelled activity ends with an error too.
    """
    tasks: list[asyncio.Task[Result]] = []
    at_work: list[asyncio.Task[Result]] = []
    stopping: list[asyncio.Task[Result]] = []
    waiting = list(work)
    try:
        while (waiting or at_work) and not stopping:
            while waiting and (limit is None or len(at_work) < limit):
                at_work.append(asyncio.create_task(_begun(waiting.pop(0))))
                tasks.append(at_work[-1])
            await workflow.wait(at_work, return_when=asyncio.FIRST_COMPLETED)
            stopping = [task for task in at_work if task.done() and stop_at(task)]
            at_work = [task for task in at_work if not task.done()]
    finally:
        for task in at_work:
            task.cancel()
        if at_work:
            await workflow.wait(at_work)
        for task in tasks:
            if not task.cancelled():
                task.exception()  # looked at, so that nobody is told of an error that was not asked for
    return tasks, stopping


async def _begun(work: Work[Result]) -> Result:
    return await work()
