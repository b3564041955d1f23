"""When a consumer is given up: it stands still for longer than Kafka can keep it waiting.

aiokafka can hang where it should rejoin its group or fetch (its issues 1154, 847, 703, 625): no error, no assignment,
no record, for as long as the process lives. From outside that is a clock that does not go back. Pure: times come in,
a verdict comes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_MOST_DOUBLINGS: Final = 4
_FROZEN_AFTER: Final = 5.0
"""Intervals without a look after which it was this process that stood still, not the consumer."""


class Watchdog:
    """Looks at how long each vital sign has been missing, about every ``interval`` seconds, with ``patience`` seconds.

    A consumer that replaced another one and stands still too gets twice the time, up to sixteen times as much: what
    a new one does not mend (a partition without a leader) is not mended by many. Time in which this process itself
    did not run is nobody's fault.
    """

    def __init__(self, patience: float, *, interval: float) -> None:
        self._patience = patience
        self._interval = interval
        self._counts_from: float | None = None
        self._looked_at: float | None = None
        self._strikes = 0

    def look(self, now: float, missing: Mapping[str, float]) -> str | None:
        """The name of a sign in ``missing`` (seconds by name) that has been missing for too long, or None."""
        if self._looked_at is None or now - self._looked_at > _FROZEN_AFTER * self._interval:
            self.forgive(now)
        self._looked_at = now
        assert self._counts_from is not None  # noqa: S101 - the first look sets it
        counted = now - self._counts_from
        limit = self._patience * 2.0 ** min(self._strikes, _MOST_DOUBLINGS)
        for name, seconds in missing.items():
            if min(seconds, counted) > limit:
                self._strikes += 1
                self.forgive(now)
                return name
        if counted > limit and max(missing.values(), default=0.0) < self._patience / 2:
            self._strikes = 0
        return None

    def forgive(self, now: float) -> None:
        """Count from ``now`` on: what was missing until now had a cause outside."""
        self._counts_from = now
