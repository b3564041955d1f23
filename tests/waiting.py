"""Waiting for a fact, with a deadline."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable

_LOOK_EVERY = 0.05


async def until(
    fact: Callable[[], bool | Awaitable[bool]],
    *,
    seconds: float = 120.0,
    every: float = _LOOK_EVERY,
    what: str = "",
) -> None:
    """Return as soon as ``fact()`` is true; fail after ``seconds``. ``fact`` may be async.

    ``every`` is the seconds between two looks: more for a look that costs what the thing itself costs.

    The deadline is generous on purpose: it ends a test that would hang and measures nothing.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = fact()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return
        if time.monotonic() > deadline:
            raise AssertionError(f"not so within {seconds} s: {what or inspect.getsource(fact).strip()}")
        await asyncio.sleep(every)
