"""Work that is finished although its waiter is told to stop."""

from __future__ import annotations

import asyncio

import pytest

from infra.finishing import to_the_end


async def test_it_is_finished_however_often_its_waiter_is_cancelled() -> None:
    """The cancellation comes out afterwards, and is not lost."""
    begun, go, done = asyncio.Event(), asyncio.Event(), False

    async def work() -> None:
        nonlocal done
        begun.set()
        await go.wait()
        done = True

    waiter = asyncio.create_task(to_the_end(work()))
    await begun.wait()
    for _ in range(2):
        waiter.cancel()
        await asyncio.sleep(0)
        assert not waiter.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert done


async def test_what_comes_of_it_comes_out() -> None:
    """Its result, and its error."""

    async def answer() -> int:
        return 42

    async def failure() -> None:
        raise ValueError("no")

    assert await to_the_end(answer()) == 42
    with pytest.raises(ValueError, match="no"):
        await to_the_end(failure())
