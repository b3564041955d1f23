"""Faults injected into activities: what a network, a crash and a slow database do to a single attempt."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

BEFORE = "failed before its effect"
AFTER = "failed after its effect"
LOST = "timed out after its effect"


class InjectedFaults(Interceptor):
    """Spoils a ``share`` of all attempts, each in one of ``kinds``; which, is decided by ``seed``.

    An attempt of the kind ``LOST`` does its work and never answers, so the server ends it by its start-to-close
    timeout and has it tried again, as it does when a worker dies. ``counted`` is what was done to how many attempts;
    the empty kind are those that were left alone.
    """

    def __init__(self, share: float, seed: int, kinds: Sequence[str] = (BEFORE, AFTER, LOST)) -> None:
        self._share = share
        self._seed = seed
        self._kinds = tuple(kinds)
        self.counted: Counter[str] = Counter()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002 - the signature is the SDK's
        """The part of it around one attempt."""
        return _Faulty(next, self)

    def chosen(self) -> str:
        """What becomes of the attempt that runs now."""
        info = activity.info()
        what = f"{self._seed}/{info.workflow_id}/{info.activity_id}/{info.attempt}"
        chance = int.from_bytes(hashlib.sha256(what.encode()).digest()[:8], "big") / 2**64
        kind = self._kinds[int(chance / self._share * len(self._kinds))] if chance < self._share else ""
        self.counted[kind] += 1
        return kind


class _Faulty(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, faults: InjectedFaults) -> None:  # noqa: A002 - the SDK's name
        super().__init__(next)
        self._faults = faults

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002 - the signature is the SDK's
        kind = self._faults.chosen()
        if kind == BEFORE:
            raise ApplicationError(kind, type="InjectedError")
        result = await super().execute_activity(input)
        if kind == AFTER:
            raise ApplicationError(kind, type="InjectedError")
        if kind == LOST:
            activity.raise_complete_async()
        return result
