"""A stack of compensations, run last step first, each until it has succeeded.

A compensation is pushed *before* the step that it undoes: where a step fails, its effect may have happened
all the same (an attempt that timed out may still commit), so the undoing must bear that there was nothing
to undo, and must keep a late attempt from having its effect. The activities named here promise both.

The stack is data, not closures, so that it goes through continue-as-new.

Source: 003, "Cancellation & Compensation"; 004, "Saga".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from temporalio.exceptions import ActivityError

from workflows.activities.contracts.base import ActivityContract

Subject = TypeVar("Subject")


class Saga(Generic[Subject]):
    """What is to be undone for one subject, as an order.

    ``known`` are all compensations there are; ``pending`` the names of those already on the stack, from the
    run that this one continues.
    """

    def __init__(
        self,
        subject: Subject,
        known: Iterable[ActivityContract[Subject, None]],
        pending: Iterable[str] = (),
    ) -> None:
        self._subject = subject
        by_name = {compensation.name: compensation for compensation in known}
        self._stack = [by_name[name] for name in pending]
        self._done: list[str] = []
        self._refused: list[str] = []

    @property
    def pending(self) -> tuple[str, ...]:
        """The names on the stack, first pushed first."""
        return tuple(compensation.name for compensation in self._stack)

    @property
    def done(self) -> tuple[str, ...]:
        """The names of the compensations that have run, in the order they ran."""
        return tuple(self._done)

    @property
    def refused(self) -> tuple[str, ...]:
        """Those that their owner refused for good, each with its reason. A person has to look at them."""
        return tuple(self._refused)

    def push(self, compensation: ActivityContract[Subject, None]) -> None:
        """Undo the step that is about to begin with ``compensation``. A repeat changes nothing."""
        if compensation not in self._stack:
            self._stack.append(compensation)

    def replace(self, old: ActivityContract[Subject, None], new: ActivityContract[Subject, None]) -> None:
        """Undo with ``new`` what ``old`` would have undone, at the same place in the order."""
        self._stack = [new if compensation == old else compensation for compensation in self._stack]

    def settle(self) -> None:
        """What was done stands: nothing of it is to be undone any more."""
        self._stack.clear()

    async def compensate(self, doing: Callable[[ActivityContract[Subject, None]], None]) -> None:
        """Undo everything, last step first; ``doing`` is told each compensation before it runs.

        Each is retried without limit. One that is refused for good is kept in :attr:`refused` and does not
        stop those below it.
        """
        while self._stack:
            compensation = self._stack[-1]
            doing(compensation)
            try:
                await compensation(self._subject)
            except ActivityError as error:
                self._refused.append(f"{compensation.name}: {error.cause or error}")
            else:
                self._done.append(compensation.name)
            self._stack.pop()
