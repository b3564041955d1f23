"""A second process of a member's name: neither can work, and Kafka's client does not say why.

The broker lets the last comer of a static member in and shuts the one before out (KIP-345); that one joins anew, and
so on for ever. Nothing is lost, but each begins again at the last commit, and hardly gets to commit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import structlog

_log = structlog.get_logger()

_TIMES: Final = 6
_WITHIN: Final = 60.0
"""Seconds. A group whose members come and go has a rebalance now and then, and not one after the other."""


class Namesakes:
    """Warns where ``member`` gets its partitions again and again; ``clock`` gives seconds."""

    def __init__(self, member: str | None, clock: Callable[[], float]) -> None:
        self._member = member
        self._clock = clock
        self._times: deque[float] = deque(maxlen=_TIMES)

    def assigned(self) -> None:
        """Partitions were assigned to this member."""
        if self._member is None:
            return
        now = self._clock()
        self._times.append(now)
        if len(self._times) == _TIMES and now - self._times[0] <= _WITHIN:
            self._times.clear()
            _log.warning(
                "partitions come and go: is there another process of this member's name? Each needs its own (--member)",
                member=self._member,
                times=_TIMES,
                seconds=_WITHIN,
            )
