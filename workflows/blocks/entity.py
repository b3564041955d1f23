"""A workflow that lives long: it is told things, is idle for a while, and goes on in a new run when one is full.

What it is told stands in its inbox until it takes it. Its idle clock begins anew with everything that it is
told, without an event in the history for each. A run ends only when no handler is at work, and with all that
is unread, so nothing that was accepted is lost between two runs.

Source: design §7, CartWorkflow; facts, "Temporal" (limits of a run, ``all_handlers_finished``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Generic, NoReturn, TypeVar

from temporalio import workflow

from workflows.blocks.endings import ClockRanOutError, RunIsFullError, run_is_full

Item = TypeVar("Item")


class Entity(Generic[Item]):
    """The inbox and the clock of a long-lived workflow.

    ``idle`` is how long it may be told nothing (None: for ever). ``unread`` and ``touched_at`` (ISO-8601) are
    what the run before had; both go into the workflow's own input when it continues as new.
    """

    def __init__(
        self, *, idle: timedelta | None = None, unread: Iterable[Item] = (), touched_at: str | None = None
    ) -> None:
        self._idle = idle
        self._inbox = deque(unread)
        self._touched = datetime.fromisoformat(touched_at) if touched_at else workflow.now()

    @property
    def unread(self) -> tuple[Item, ...]:
        """What it was told and has not taken, oldest first."""
        return tuple(self._inbox)

    @property
    def touched_at(self) -> str:
        """When it was last told something, or began (ISO-8601)."""
        return self._touched.isoformat()

    def tell(self, item: Item) -> None:
        """Put ``item`` into the inbox. Called by handlers of signals and updates."""
        self._inbox.append(item)
        self.touch()

    def touch(self) -> None:
        """Something happened: the idle clock begins anew. For handlers that need no inbox."""
        self._touched = workflow.now()

    async def next(self) -> Item:
        """The oldest item that was not taken. Raises as :meth:`until`, but not while there is one."""
        await self.until(lambda: bool(self._inbox))
        return self._inbox.popleft()

    async def until(self, happened: Callable[[], bool]) -> None:
        """Return once ``happened()``.

        Raises :class:`ClockRanOutError` when it was told nothing for the time of the idle clock,
        :class:`RunIsFullError` when it should :meth:`continue_as_new`.
        """
        while not happened():
            if run_is_full():
                raise RunIsFullError
            left = self._touched + self._idle - workflow.now() if self._idle else None
            if left is not None and left <= timedelta(0):
                raise ClockRanOutError(f"nothing happened for {self._idle}")
            try:
                await workflow.wait_condition(lambda: happened() or run_is_full(), timeout=left)
            except TimeoutError:
                continue  # it was touched meanwhile, or the clock has run out: look again

    async def continue_as_new(self, argument: Callable[[], Any]) -> NoReturn:
        """Go on in a new run with ``argument()``, made when every handler has finished: nothing comes after it."""
        await workflow.wait_condition(workflow.all_handlers_finished)
        workflow.continue_as_new(argument())
