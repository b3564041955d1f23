"""The same servers through testcontainers, for a test run where a Docker engine answers.

Image, variables, command and port come from ``infra/deploy/compose.yaml``, so that the tests and
``tidegate up`` cannot drift apart. Testcontainers' reaper removes the containers of a run that was killed.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from infra.errors import StackError
from infra.local import EVERYTHING, Component, StackOptions
from infra.local.cache import Report
from infra.local.choice import Origin
from infra.local.docker import ContainerFacts, compose_service
from infra.local.stack import ServerFactory

_START_DEADLINE = 120.0  # seconds
_PROBE_EVERY = 0.1  # seconds


class ContainerServer:
    """One server in a container of testcontainers."""

    origin = Origin.DOCKER

    def __init__(self, component: Component, home: Path, options: StackOptions) -> None:
        self.component = component
        self._facts = ContainerFacts(component, home, options)
        self.ports: Sequence[int] = self._facts.ports
        self._service = compose_service(component)
        self._container: Any = None
        self._running = False

    @property
    def version(self) -> str:
        """The image."""
        return str(self._service["image"])

    @property
    def running(self) -> bool:
        """Whether it was started and neither stopped nor killed since."""
        return self._running

    @property
    def pids(self) -> list[int]:
        """None: the engine's processes are not ours, and the reaper ends the container."""
        return []

    def addresses(self) -> dict[str, str]:
        """Where it answers."""
        return self._facts.addresses()

    async def prepare(self, report: Report) -> None:
        """Nothing: the engine pulls the image when it starts the container."""

    async def start(self) -> None:
        """Start the container, or the same one again, and wait until clients can use it."""
        await asyncio.to_thread(self._start)
        self._running = True
        deadline = time.monotonic() + _START_DEADLINE
        while not await self._answers():
            if time.monotonic() > deadline:
                raise StackError(f"{self.version} did not answer within {_START_DEADLINE:.0f} s")
            await asyncio.sleep(_PROBE_EVERY)

    async def stop(self) -> None:
        """Stop the container and keep it."""
        if self._container is not None:
            await asyncio.to_thread(self._container.get_wrapped_container().stop)
        self._running = False

    async def kill(self) -> None:
        """SIGKILL."""
        await asyncio.to_thread(self._container.get_wrapped_container().kill)
        self._running = False

    async def dispose(self) -> None:
        """Remove the container and what it stored."""
        if self._container is not None:
            await asyncio.to_thread(self._container.stop, force=True, delete_volume=True)

    async def _answers(self) -> bool:
        try:
            return await asyncio.wait_for(self._facts.ready(), 5)
        except (OSError, TimeoutError):
            return False

    def _start(self) -> None:
        if self._container is not None:
            self._container.get_wrapped_container().start()
            return
        from testcontainers.core.container import DockerContainer  # slow to import, and rarely needed

        variables = self._facts.variables()
        container = DockerContainer(interpolate(self._service["image"], variables))
        for name, value in self._service.get("environment", {}).items():
            container.with_env(name, interpolate(value, variables))
        for published in self._service["ports"]:
            host, port, inside = interpolate(published, variables).rsplit(":", 2)
            at: Any = (host, int(port))  # docker takes an address; the annotation of the method does not
            container.with_bind_ports(int(inside), at)
        command = self._facts.command() or self._service.get("command")
        if command is not None:
            container.with_command([interpolate(word, variables) for word in command])
        if "user" in self._service:
            container.with_kwargs(user=self._service["user"])
        self._container = container.start()


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """Put ``variables`` in place of ``${NAME:-default}``, as compose does."""
    return re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: variables.get(found[1], found[2]), text)


def container_factories() -> Mapping[Component, ServerFactory]:
    """Run every server through testcontainers."""
    return {component: partial(ContainerServer, component) for component in EVERYTHING}
