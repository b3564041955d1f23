"""The circuit breaker for dead letters: a flood of them is more likely our fault than theirs.

A deployment that lacks a schema, or a producer gone mad, would otherwise move a whole topic into its
dead-letter topic in minutes. The breaker pauses the consumer instead and then judges anew. Source: design §6.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from consumers.errors import ConsumerPausedError


@dataclass(frozen=True, slots=True)
class BreakerOptions:
    """When the breaker opens, and for how long.

    It opens where at least ``minimum`` of the last ``window`` routed events are judged and dead letters make up
    ``ratio`` of them or more, and where ``run`` events in a row became dead letters, however few were judged before;
    it stays open for ``cooldown`` seconds.
    """

    window: int = 200
    minimum: int = 50
    ratio: float = 0.5
    run: int = 25
    cooldown: float = 30.0


class DeadLetterBreaker:
    """Judges the events of one consumer. ``clock`` gives seconds that never go back; ``opened`` is called each time
    it opens."""

    def __init__(
        self,
        options: BreakerOptions,
        clock: Callable[[], float],
        *,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._clock = clock
        self._opened = opened
        self._bad: deque[bool] = deque(maxlen=options.window)
        self._run = 0
        self._open_until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether nothing may become a dead letter now."""
        return self._open_until is not None and self._clock() < self._open_until

    def good(self) -> None:
        """An event found its outcome without becoming a dead letter."""
        self._bad.append(False)
        self._run = 0

    def admit_dead_letter(self) -> None:
        """Count an event that is about to become a dead letter.

        Raises :class:`ConsumerPausedError` where the breaker is open or opens now; the event is then not
        counted and must be handled again after the pause, which a mended deployment uses to deliver it.
        """
        now = self._clock()
        if self._open_until is not None:
            if now < self._open_until:
                raise ConsumerPausedError("too many dead letters", retry_after=self._open_until - now)
            self._open_until = None
            self._bad.clear()
            self._run = 0
        if verdict := self._verdict():
            self._open_until = now + self._options.cooldown
            self._opened()
            raise ConsumerPausedError(
                f"{verdict} became dead letters: pausing for {self._options.cooldown:g} s; "
                "look at them with `tidegate dlq list`",
                retry_after=self._options.cooldown,
            )
        self._bad.append(True)
        self._run += 1

    def _verdict(self) -> str | None:
        """What is too much, None where nothing is."""
        judged = len(self._bad)
        if judged >= self._options.minimum:
            ratio = sum(self._bad) / judged
            if ratio >= self._options.ratio:
                return f"{ratio:.0%} of the last {judged} events"
        return f"{self._run} events in a row" if self._run >= self._options.run else None
