"""What a workflow has seen: bounded by count and by age, and carried from one run to the next in two headers.

The first header is what it was before there was an age, a list of texts, so that workers of either release read
what the other has written; the times stand beside it, in a header that an older worker does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from temporalio.api.common.v1 import Payload
from temporalio.converter import PayloadConverter

SEEN_HEADER: Final = "tidegate-seen-signals"
"""Carries the memory from a run to the one that continues it: texts ``<event id>:<signal>``, oldest first."""

SEEN_AT_HEADER: Final = "tidegate-seen-signals-at"
"""When each of them was first seen: whole seconds since 1970 of workflow time, in the same order."""


class SeenSignals:
    """At most ``limit`` keys, none first seen longer than ``forget_after`` ago; the oldest are forgotten first.

    Times are seconds since 1970 of workflow time, and never go back.
    """

    def __init__(self, limit: int, forget_after: timedelta, seen: Mapping[str, int] | None = None) -> None:
        self._limit = limit
        self._seconds = forget_after.total_seconds()
        self._seen = dict(seen or {})  # a dict, for its order: a set has none that replays

    def is_new(self, key: str, now: float) -> bool:
        """Whether ``key`` was never seen, or forgotten since; from ``now`` on it was seen."""
        self._forget(now)
        if key in self._seen:
            return False
        self._seen[key] = int(now)
        if len(self._seen) > self._limit:
            del self._seen[next(iter(self._seen))]
        return True

    def headers(self, converter: PayloadConverter) -> dict[str, Payload]:
        """The memory for the next run."""
        return {
            SEEN_HEADER: converter.to_payload(list(self._seen)),
            SEEN_AT_HEADER: converter.to_payload(list(self._seen.values())),
        }

    def _forget(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest] <= self._seconds:
                return
            del self._seen[oldest]


def carried(headers: Mapping[str, Payload], converter: PayloadConverter, started: float) -> dict[str, int]:
    """What the run before this one had seen. What came without times, from an older worker, was seen at ``started``.

    Raises the converter's error where a header does not hold what it must.
    """
    if SEEN_HEADER not in headers:
        return {}
    keys = converter.from_payload(headers[SEEN_HEADER], list[str])
    times = converter.from_payload(headers[SEEN_AT_HEADER], list[int]) if SEEN_AT_HEADER in headers else []
    if len(times) != len(keys):
        times = [int(started)] * len(keys)
    return dict(zip(keys, times, strict=True))
