"""A gate: one fact that comes from outside, by signal, with a clock and reminders.

The fact may come before anybody waits for it; the first one counts. The clock begins with the wait and goes on
through continue-as-new. It is a timer inside the workflow, so that what has to be undone can be undone: an
execution timeout would let nothing be said.

Source: design §7, "clocks"; 000, "Returns"; 003, "Wait for Pick Completion".
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.blocks.endings import ClockRanOutError, LeftEarlyError, RunIsFullError, run_is_full

Fact = TypeVar("Fact")

Reminder = Callable[[int], Awaitable[None]]
"""Reminds somebody for the ``n``-th time, counted from 1. Idempotent by that number: a new run may repeat it."""


@dataclass(frozen=True, slots=True)
class GateState:
    """What a gate takes along into a new run; times are ISO-8601. ``reminded``: how often, so far."""

    began: str | None = None
    deadline: str | None = None
    reminded: int = 0


class Gate(Generic[Fact]):
    """Waits for ``what``, for at most ``clock`` (None: for ever), reminding after every ``remind_every``.

    ``fact`` and ``state`` are what the run before had; both go into the workflow's own input when it continues
    as new, as :attr:`fact` and :attr:`state`.
    """

    def __init__(
        self,
        what: str,
        *,
        clock: timedelta | None = None,
        remind_every: timedelta | None = None,
        fact: Fact | None = None,
        state: GateState | None = None,
    ) -> None:
        self.what = what
        self._clock = clock
        self._remind_every = remind_every
        self._fact = fact
        self._state = state or GateState()
        self._waiting = False

    @property
    def fact(self) -> Fact | None:
        """The fact, once it has come."""
        return self._fact

    @property
    def state(self) -> GateState:
        """Since when and until when is waited, for the next run."""
        return self._state

    @property
    def waiting_for(self) -> str | None:
        """One sentence for people while it waits; None before and after."""
        if not self._waiting:
            return None
        until = f" until {self._state.deadline}" if self._state.deadline else ""
        return f"waiting for {self.what}{until}"

    def pass_with(self, fact: Fact) -> None:
        """The fact has come: before, during or after the wait. For the signal's handler; a repeat changes nothing."""
        if self._fact is None:
            self._fact = fact

    async def wait(
        self, *, leave: Callable[[], bool] = lambda: False, remind: Reminder | None = None
    ) -> Fact:
        """The fact, as soon as it is there.

        Raises :class:`LeftEarlyError` once ``leave()`` is true, even if the fact has come too;
        :class:`ClockRanOutError` at the deadline; :class:`RunIsFullError` where a new run should go on waiting.
        A reminder runs beside the wait: one that hangs or fails neither delays the fact nor stops the clock,
        and one that is under way when the wait ends is cancelled and awaited.
        """
        self._begin()
        self._waiting = True
        reminding: asyncio.Task[None] | None = None
        reminders = self._state.reminded
        try:
            while not self._is_over(leave):
                due, now = self._due(reminders, remind), workflow.now()
                if due is None or due > now:
                    try:
                        await workflow.wait_condition(
                            lambda: self._is_over(leave), timeout=due - now if due else None
                        )
                        continue
                    except TimeoutError:
                        now = max(workflow.now(), due or now)
                if self._deadline is not None and now >= self._deadline:
                    raise ClockRanOutError(f"no {self.what} within {_spoken(self._clock)}")
                reminders = self._number_due(now)
                if remind is not None and (reminding is None or reminding.done()):
                    reminding = asyncio.create_task(self._remind(remind, reminders))
        finally:
            self._waiting = False
            if reminding is not None and not reminding.done():
                reminding.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reminding
        if leave():
            raise LeftEarlyError
        if self._fact is None:
            raise RunIsFullError
        return self._fact

    def _is_over(self, leave: Callable[[], bool]) -> bool:
        return self._fact is not None or leave() or run_is_full()

    def _begin(self) -> None:
        if self._state.began is None:
            now = workflow.now()
            deadline = (now + self._clock).isoformat() if self._clock else None
            self._state = replace(self._state, began=now.isoformat(), deadline=deadline)

    @property
    def _deadline(self) -> datetime | None:
        return datetime.fromisoformat(self._state.deadline) if self._state.deadline else None

    def _due(self, reminders: int, remind: Reminder | None) -> datetime | None:
        """When something is to be done next, if nothing happens before."""
        if self._remind_every is None or remind is None:
            return self._deadline
        next_reminder = self._began + (reminders + 1) * self._remind_every
        return next_reminder if self._deadline is None else min(next_reminder, self._deadline)

    @property
    def _began(self) -> datetime:
        return datetime.fromisoformat(self._state.began or workflow.now().isoformat())

    def _number_due(self, now: datetime) -> int:
        """The number of the latest reminder that is due: those that nobody was there to send are left out."""
        return (now - self._began) // self._remind_every if self._remind_every else 0

    async def _remind(self, remind: Reminder, number: int) -> None:
        try:
            await remind(number)
        except ActivityError as error:
            workflow.logger.warning("reminder %s of %s: %s", number, self.what, error.cause or error)
        else:
            self._state = replace(self._state, reminded=number)


def _spoken(clock: timedelta | None) -> str:
    seconds = clock.total_seconds() if clock else 0.0
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} seconds"
