"""Stopping a relay at a named point, and one that dies there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import asyncpg

from outbox.options import RelayOptions
from outbox.probe import Point, Probe
from tests.outbox_support import relay_to_kafka


class Halt(Probe):
    """Halts the relay when a page is at ``point`` for the ``turn``-th time, until ``go`` is set."""

    def __init__(self, point: Point, turn: int = 1) -> None:
        self._point = point
        self.arm(turn)

    def arm(self, turn: int = 1) -> None:
        """Halt there once more."""
        self._left = turn
        self.there = asyncio.Event()
        self.go = asyncio.Event()

    async def reached(self, point: Point) -> None:
        if point is self._point:
            self._left -= 1
            if self._left <= 0:
                self.there.set()
                await self.go.wait()  # set for good: halts only until then


class AtPoint(Probe):
    """Does something, once, when a page is at ``point`` for the ``turn``-th time."""

    def __init__(self, point: Point, act: Callable[[], Awaitable[None]], *, turn: int = 1) -> None:
        self._point = point
        self._act = act
        self._left = turn

    async def reached(self, point: Point) -> None:
        if point is self._point:
            self._left -= 1
            if self._left == 0:
                await self._act()


@asynccontextmanager
async def halted(
    dsns: Sequence[str], bootstrap_servers: str, options: RelayOptions, point: Point, turn: int = 1
) -> AsyncIterator[Halt]:
    """A relay that stands at ``point``; at the end it dies there, without a word to anybody."""
    probe = Halt(point, turn)
    relay = relay_to_kafka(dsns, bootstrap_servers, options=options, probe=probe)
    running = asyncio.create_task(relay.run(asyncio.Event()))
    try:
        async with asyncio.timeout(120):
            await probe.there.wait()
        yield probe
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@asynccontextmanager
async def frozen(
    dsn: str, bootstrap_servers: str, options: RelayOptions, point: Point, turn: int
) -> AsyncIterator[Halt]:
    """A relay that stands at ``point`` and renews nothing: its lease is over, and it does not know."""
    unaware = replace(options, lease=3600)
    async with halted([dsn], bootstrap_servers, unaware, point, turn) as probe:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute("UPDATE outbox.ownership SET lease_until = '-infinity'")
            await connection.execute("UPDATE outbox.relays SET lease_until = '-infinity'")
        finally:
            await connection.close()
        yield probe
