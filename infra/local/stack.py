"""The local stack as one thing: start what is needed in parallel, know where it answers, leave nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import psutil

from infra.errors import MisuseError, StackError
from infra.finishing import to_the_end
from infra.local.cache import Report, report_to_stderr
from infra.local.choice import Origin, plan_origins
from infra.local.components import EVERYTHING, Component, StackAddresses, StackOptions
from infra.local.docker import ComposeServer, docker_answers
from infra.local.kafka import LocalKafka
from infra.local.postgres import LocalPostgres
from infra.local.process import free_ports, port_is_free
from infra.local.registry import LocalRegistry
from infra.local.server import Server
from infra.local.state import end_leftovers, forget_processes, owning
from infra.local.temporal import LocalTemporal
from infra.running import ProcessId, RunningServer, StackState, write_state

ServerFactory = Callable[[Path, StackOptions], Server]
Upon = Callable[[Component, StackAddresses], Awaitable[None]]
"""What is done with a server as soon as it answers. Addresses of servers that do not answer yet may stand there too."""

_PROCESSES: Final[Mapping[Component, ServerFactory]] = {
    Component.POSTGRES: LocalPostgres,
    Component.KAFKA: LocalKafka,
    Component.REGISTRY: LocalRegistry,
    Component.TEMPORAL: LocalTemporal,
}


class Stack:
    """A running stack. Make one with :func:`running_stack`."""

    def __init__(
        self,
        home: Path,
        options: StackOptions,
        given: StackAddresses,
        factories: Mapping[Component, ServerFactory],
        report: Report,
    ) -> None:
        self.home = home
        self.options = options
        if given.payments_url is None:
            given = dataclasses.replace(given, payments_url=f"http://127.0.0.1:{free_ports(1)[0]}")
        self.given = given
        self._factories = factories
        self._report = report
        self._servers: dict[Component, Server] = {}
        self._seen: set[Component] = set()

    @property
    def addresses(self) -> StackAddresses:
        """Where the servers answer, those that were given included."""
        found: dict[str, str] = {}
        for server in self._servers.values():
            found.update(server.addresses())
        return dataclasses.replace(self.given, **found)

    @property
    def servers(self) -> Mapping[Component, Server]:
        """The servers that this stack has started."""
        return dict(self._servers)

    def environment(self) -> dict[str, str]:
        """``TIDEGATE_…`` variables for a child process that is to use this stack."""
        return {"TIDEGATE_HOME": str(self.home), **self.addresses.environment()}

    async def start(self, *components: Component, upon: Upon | None = None) -> None:
        """Start ``components``, in parallel, and do with each what ``upon`` says while others still start.

        One that was stopped or killed comes back on its port with its data; one that was given an address, or
        runs, is left as it is.
        """
        ours = [component for component in components if component not in self.given.components()]
        for component in ours:
            if component not in self._servers:
                self._servers[component] = self._factories[component](self.home, self.options)

        async def bring(component: Component) -> None:
            if component in ours:
                await self._start(component)
            if upon is not None:
                await upon(component, self.addresses)

        results = await asyncio.gather(*map(bring, components), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        self._write_state()
        if failures:
            raise failures[0]

    async def stop(self, component: Component) -> None:
        """End one server in good order; ``start`` brings it back."""
        await self._server(component).stop()
        self._write_state()

    async def kill(self, component: Component) -> None:
        """SIGKILL one server; ``start`` brings it back."""
        await self._server(component).kill()
        self._write_state()

    async def stop_all(self) -> None:
        """End every server, in parallel."""
        await asyncio.gather(
            *(self._end(server) for server in self._servers.values()), return_exceptions=True
        )

    async def _start(self, component: Component) -> None:
        server = self._servers[component]
        await server.prepare(self._report)
        try:
            await server.start()
        except StackError:
            if component in self._seen or all(map(port_is_free, server.ports)):
                raise
            # Somebody took a port between our look and the server's start. Nobody knows the ports yet: take others.
            self._report(f"{component}: a port was taken meanwhile; trying others")
            self._servers[component] = self._factories[component](self.home, self.options)
            await self._servers[component].prepare(self._report)
            await self._servers[component].start()
        self._seen.add(component)

    async def _end(self, server: Server) -> None:
        await server.stop()
        await server.dispose()

    def _server(self, component: Component) -> Server:
        try:
            return self._servers[component]
        except KeyError:
            raise MisuseError(
                f"{component} is not part of this stack, so it cannot be stopped or killed"
            ) from None

    def _write_state(self) -> None:
        servers = {
            component.value: RunningServer(
                origin=server.origin.value,
                version=server.version,
                process=_process_of(server),
                log=str(self.home / "logs" / f"{component}.log"),
            )
            for component, server in self._servers.items()
        }
        servers |= {
            component.value: RunningServer(origin=Origin.GIVEN.value, version="")
            for component in self.given.components()
        }
        write_state(self.home, StackState(ProcessId.of(os.getpid()), self.addresses.as_settings(), servers))


@contextlib.asynccontextmanager
async def running_stack(
    home: Path,
    components: Collection[Component] = EVERYTHING,
    options: StackOptions = StackOptions(),  # noqa: B008 - a frozen value
    *,
    given: StackAddresses = StackAddresses(),  # noqa: B008 - the same
    factories: Mapping[Component, ServerFactory] | None = None,
    fresh: bool = False,
    upon: Upon | None = None,
    report: Report = report_to_stderr,
) -> AsyncIterator[Stack]:
    """A stack in ``home`` of ``components``: all usable on entry, none running after exit.

    ``given`` names servers that run already: they are used and not touched. ``factories`` says how the others
    are run; without it they are containers where a Docker engine answers, and processes otherwise. ``fresh``
    forgets what was kept before. ``upon`` is done with each server, a given one included, as soon as it answers, and
    before the block is entered.
    Raises :class:`MisuseError` if a stack already runs there, :class:`StackError` if a server cannot be had.
    """
    home = Path(os.path.abspath(home))  # noqa: ASYNC240, PTH100 - computes; asks no disk
    with owning(home):
        for name in await asyncio.to_thread(end_leftovers, home):
            report(f"ended what a crashed stack had left running: {name}")
        if fresh or not options.keep_data:
            await asyncio.to_thread(shutil.rmtree, options.store(home), ignore_errors=True)
        chosen = factories if factories is not None else await asyncio.to_thread(choose_factories)
        stack = Stack(home, options, given, chosen, report)
        try:
            await stack.start(*components, upon=upon)
            yield stack
        finally:
            try:
                await to_the_end(stack.stop_all())
            finally:
                forget_processes(home)
                if not options.keep_data:
                    shutil.rmtree(options.store(home), ignore_errors=True)


def _process_of(server: Server) -> ProcessId | None:
    try:
        return ProcessId.of(server.pids[0]) if server.pids else None
    except psutil.NoSuchProcess:
        return None


def choose_factories(docker: Callable[[], bool] = docker_answers) -> Mapping[Component, ServerFactory]:
    """How servers are run here: in Docker where an engine answers, as processes otherwise (blocking)."""
    plan = plan_origins(EVERYTHING, (), docker_answers=docker())
    return {
        component: partial(ComposeServer, component) if origin is Origin.DOCKER else _PROCESSES[component]
        for component, origin in plan.items()
    }


def process_factories() -> Mapping[Component, ServerFactory]:
    """Run every server as a process of ours."""
    return _PROCESSES
