"""Lets calls to a server pass one limit, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from consumers.bridge.adaptive_limit import AdaptiveLimit, Ticket
from consumers.errors import DownstreamUnavailableError

Response = TypeVar("Response")


class CallGate:
    """Makes the calls of all partitions of a process under ``limit``; for one event loop.

    When the server is overloaded, whoever waits at the gate is sent away as well: their partitions pause, and come
    back in smaller numbers, instead of asking one after the other and being refused.
    """

    def __init__(self, limit: AdaptiveLimit) -> None:
        self._limit = limit
        self._waiting: deque[asyncio.Future[Ticket]] = deque()

    async def call(
        self, call: Callable[[], Awaitable[Response]], *, is_overload: Callable[[Exception], bool]
    ) -> Response:
        """What ``call`` gives, made once there is room for it; it raises what ``call`` raises.

        Raises :class:`DownstreamUnavailableError`, and makes no call, where the server was found overloaded while this
        one waited.
        """
        ticket = self._limit.admit() or await self._wait()  # where there is room, nobody waits
        try:
            response = await call()
        except Exception as error:
            if is_overload(error):
                if self._limit.overloaded(ticket):
                    self._send_away(error)
            else:
                self._limit.answered(ticket)
            raise
        except BaseException:
            self._limit.abandoned(ticket)
            raise
        else:
            self._limit.answered(ticket)
            return response
        finally:
            self._let_in()

    async def _wait(self) -> Ticket:
        place: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self._limit.abandoned(place.result())  # let in and cancelled in the same moment
                self._let_in()
            raise

    def _let_in(self) -> None:
        while self._waiting:
            if self._waiting[0].done():
                self._waiting.popleft()
                continue
            ticket = self._limit.admit()
            if ticket is None:
                return
            self._waiting.popleft().set_result(ticket)

    def _send_away(self, error: Exception) -> None:
        waiting, self._waiting = self._waiting, deque()
        for place in waiting:
            if not place.done():
                place.set_exception(DownstreamUnavailableError(f"the server is overloaded: {error}"))
