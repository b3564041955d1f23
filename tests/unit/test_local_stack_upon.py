"""What is done with a server as soon as it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from infra.errors import StackError
from infra.local import Component, StackAddresses, StackOptions, running_stack
from infra.local.cache import Report
from infra.local.choice import Origin

_GIVEN = StackAddresses(registry_url="http://127.0.0.1:1")
_WANTED = (Component.POSTGRES, Component.TEMPORAL, Component.REGISTRY)


class _Server:
    """Starts when ``may_start`` is set."""

    origin = Origin.PROCESS
    ports: Sequence[int] = ()
    version = "1"
    pids: list[int] = []  # noqa: RUF012 - the protocol's type

    def __init__(self, component: Component, may_start: asyncio.Event) -> None:
        self.component = component
        self.running = False
        self._may_start = may_start

    def addresses(self) -> dict[str, str]:
        return {"temporal_address": "here"} if self.component is Component.TEMPORAL else {}

    async def prepare(self, report: Report) -> None:
        return None

    async def start(self) -> None:
        await self._may_start.wait()
        self.running = True

    async def stop(self) -> None:
        self.running = False

    async def kill(self) -> None:
        self.running = False

    async def dispose(self) -> None:
        return None


class _Servers:
    """PostgreSQL, which starts at once, and Temporal, which starts when ``temporal`` is set."""

    def __init__(self) -> None:
        self.temporal = asyncio.Event()
        self.made: list[_Server] = []

    def postgres(self, home: Path, options: StackOptions) -> _Server:
        at_once = asyncio.Event()
        at_once.set()
        return self._keep(_Server(Component.POSTGRES, at_once))

    def slow(self, home: Path, options: StackOptions) -> _Server:
        return self._keep(_Server(Component.TEMPORAL, self.temporal))

    def _keep(self, server: _Server) -> _Server:
        self.made.append(server)
        return server


async def test_a_server_that_answers_is_not_kept_waiting_by_one_that_starts(tmp_path: Path) -> None:
    """Each component's turn comes when it answers, a given one's at once, and all before the block is entered."""
    servers = _Servers()
    seen: list[tuple[Component, StackAddresses]] = []

    async def upon(component: Component, addresses: StackAddresses) -> None:
        seen.append((component, addresses))
        if len(seen) == 2:  # without Temporal, which starts only now
            servers.temporal.set()

    factories = {Component.POSTGRES: servers.postgres, Component.TEMPORAL: servers.slow}
    async with running_stack(tmp_path, _WANTED, given=_GIVEN, factories=factories, upon=upon):
        assert {component for component, _ in seen[:2]} == {Component.POSTGRES, Component.REGISTRY}
        [(last, addresses)] = seen[2:]
        assert (last, addresses.temporal_address) == (Component.TEMPORAL, "here")
        assert addresses.registry_url == _GIVEN.registry_url


async def test_what_goes_wrong_upon_a_server_ends_the_stack(tmp_path: Path) -> None:
    """The error is the caller's, and no server is left running."""
    servers = _Servers()
    servers.temporal.set()

    async def upon(component: Component, addresses: StackAddresses) -> None:
        raise StackError(f"{component} cannot be prepared")

    factories = {Component.POSTGRES: servers.postgres, Component.TEMPORAL: servers.slow}
    with pytest.raises(StackError, match="cannot be prepared"):
        async with running_stack(tmp_path, _WANTED, given=_GIVEN, factories=factories, upon=upon):
            pytest.fail("the block was entered")
    assert [server.running for server in servers.made] == [False, False]
