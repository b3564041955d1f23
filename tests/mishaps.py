"""What goes wrong with an activity, attempt by attempt, on a worker that runs the real ones."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any, Final

import pytest
from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from workflows.activities.contracts.base import ActivityContract
from workflows.policies import NOT_RETRIED

BEFORE: Final = "before"
"""The attempt fails before it has had its effect."""

AFTER: Final = "after"
"""The attempt has its effect and then fails."""

TIMEOUT: Final = "timeout"
"""The attempt has its effect and is never heard of again."""

LATE: Final = "late"
"""The attempt is never heard of again, and has its effect long after it was given up."""


class Mishaps(Interceptor):
    """Put it around the activities; ``script`` holds what meets the next attempts, by order (or cart) id and activity.

    Set ``released`` at the end, so that attempts which are not heard of end with their worker; it is also what
    ``LATE`` attempts wait for. ``struck`` counts what went wrong so far, ``late`` the late attempts that have ended.
    """

    def __init__(self) -> None:
        self.script: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.struck: Counter[tuple[str, str]] = Counter()
        self.late: Counter[tuple[str, str]] = Counter()
        self.released = asyncio.Event()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Mishaps(next, self)


class _Mishaps(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, mishaps: Mishaps) -> None:  # noqa: A002
        super().__init__(next)
        self._mishaps = mishaps

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        about = getattr(input.args[0], "order_id", None) or input.args[0].cart_id
        script = self._mishaps.script[about, activity.info().activity_type]
        mishap = script.pop(0) if script else None
        self._mishaps.struck[about, activity.info().activity_type] += mishap is not None
        if mishap == BEFORE:
            raise ConnectionError("no connection")
        if mishap == LATE:
            # Past its timeout the SDK cancels an attempt by itself; this one is of a process that stood still.
            return await asyncio.shield(self._late((about, activity.info().activity_type), input))
        result = await super().execute_activity(input)
        if mishap == AFTER:
            raise ConnectionError("the connection was lost")
        if mishap == TIMEOUT:
            await self._mishaps.released.wait()
        return result

    async def _late(self, key: tuple[str, str], input: ExecuteActivityInput) -> Any:  # noqa: A002
        await self._mishaps.released.wait()
        try:
            return await super().execute_activity(input)
        finally:
            self._mishaps.late[key] += 1


def hurry(monkeypatch: pytest.MonkeyPatch, *modules: ModuleType) -> None:
    """Make the attempts of the activities in ``modules`` short: 4 s each, two where they are counted.

    Their numbers as they are stand in ``tests/acceptance/test_seed_000.py``.
    """
    for module in modules:
        for name, value in list(vars(module).items()):
            if isinstance(value, ActivityContract):
                retry = RetryPolicy(
                    initial_interval=timedelta(milliseconds=50),
                    backoff_coefficient=1.0,
                    maximum_attempts=2 if value.retry.maximum_attempts else 0,
                    non_retryable_error_types=NOT_RETRIED,
                )
                hurried = replace(value, start_to_close=timedelta(seconds=4), retry=retry)
                monkeypatch.setattr(module, name, hurried)
