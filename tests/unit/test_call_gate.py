"""The gate before Temporal: calls wait in their order, and are sent away when the server is overloaded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from consumers.bridge.adaptive_limit import AdaptiveLimit
from consumers.bridge.call_gate import CallGate
from consumers.errors import DownstreamUnavailableError


class OverloadError(Exception):
    """The server is out of strength."""


class Calls:
    """Calls through a gate of ``highest``, each answered when the test says so."""

    def __init__(self, highest: int) -> None:
        self.limit = AdaptiveLimit(highest)
        self.gate = CallGate(self.limit)
        self.begun: list[int] = []
        self.answers: dict[int, asyncio.Future[str]] = {}
        self.after: dict[int, Callable[[], object]] = {}
        """What to do in the very step in which a call came back."""

    def make(self, number: int) -> asyncio.Task[str]:
        """Call number ``number``."""

        def call() -> Awaitable[str]:
            self.begun.append(number)
            self.answers[number] = asyncio.get_running_loop().create_future()
            return self.answers[number]

        async def through_the_gate() -> str:
            found = await self.gate.call(call, is_overload=lambda error: isinstance(error, OverloadError))
            self.after.get(number, lambda: None)()
            return found

        return asyncio.create_task(through_the_gate())


async def settle() -> None:
    """Let every task come to its next wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_calls_pass_in_the_order_in_which_they_came() -> None:
    """Two at once; each that comes back lets the next one in, also where it came back with an error."""
    calls = Calls(2)
    tasks = [calls.make(number) for number in range(4)]
    await settle()
    assert calls.begun == [0, 1]
    calls.answers[1].set_exception(ValueError("the event's fault"))
    await settle()
    assert calls.begun == [0, 1, 2]
    calls.answers[0].set_result("zero")
    await settle()
    calls.answers[2].set_result("two")
    calls.answers[3].set_result("three")
    with pytest.raises(ValueError, match="the event's fault"):
        await tasks[1]
    assert [await tasks[number] for number in (0, 2, 3)] == ["zero", "two", "three"]
    assert calls.limit.under_way == 0
    assert calls.limit.limit == 2


async def test_nobody_passes_those_who_wait() -> None:
    """A call that comes when there is room again still stands behind those that waited before it."""
    calls = Calls(1)
    tasks = [calls.make(0), calls.make(1)]
    await settle()
    calls.answers[0].set_result("zero")
    tasks.append(calls.make(2))
    await settle()
    assert calls.begun == [0, 1]
    calls.answers[1].set_result("one")
    await settle()
    assert calls.begun == [0, 1, 2]
    calls.answers[2].set_result("two")
    await asyncio.gather(*tasks)


async def test_an_overloaded_server_is_not_asked_by_those_who_wait() -> None:
    """They are sent away without a call; fewer are let in afterwards."""
    calls = Calls(4)
    tasks = [calls.make(number) for number in range(9)]
    await settle()
    calls.answers[0].set_exception(OverloadError("20 requests a second"))
    await settle()
    assert calls.begun == [0, 1, 2, 3]
    with pytest.raises(OverloadError):
        await tasks[0]
    for task in tasks[4:]:
        with pytest.raises(DownstreamUnavailableError, match="20 requests a second"):
            await task
    assert calls.limit.limit == 2
    for number in (1, 2, 3):
        calls.answers[number].set_result("")
    await asyncio.gather(*tasks[1:4])
    assert calls.limit.under_way == 0


@pytest.mark.parametrize("moment", ["waiting", "let in", "calling"])
async def test_who_gives_up_leaves_the_room_to_others(moment: str) -> None:
    """A call that is cancelled, at whatever moment, is not counted for ever."""
    calls = Calls(1)
    first, given_up = calls.make(0), calls.make(1)
    await settle()
    match moment:
        case "waiting":
            given_up.cancel()
            calls.answers[0].set_result("")
        case "let in":
            calls.after[0] = given_up.cancel  # in the step in which the first call's end lets the second in
            calls.answers[0].set_result("")
        case "calling":
            calls.answers[0].set_result("")
            await settle()
            given_up.cancel()
    await asyncio.gather(first, given_up, return_exceptions=True)
    last = calls.make(2)
    await settle()
    calls.answers[2].set_result("last")
    assert await last == "last"
    assert calls.limit.under_way == 0


async def test_a_gate_bounds_what_a_server_sees() -> None:
    """With a thousand calls at once the server never sees more than the limit, and sees each of them."""
    gate, now, most = CallGate(AdaptiveLimit(7)), 0, 0

    async def served() -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return 1

    call: Callable[[], Awaitable[int]] = served
    done = await asyncio.gather(*(gate.call(call, is_overload=lambda _: False) for _ in range(1000)))
    assert (sum(done), most) == (1000, 7)
