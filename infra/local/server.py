"""What every server of the stack offers, whichever way it is run, and the part that local processes share."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from infra.local.cache import Report
from infra.local.choice import Origin
from infra.local.components import Component, StackOptions
from infra.local.process import GuardedProcess, Launch
from infra.local.state import remember_process

_START_DEADLINE = 240.0  # seconds; on two cores that are busy with other things, two JVMs need a minute


class Server(Protocol):
    """A server that the stack can start, stop, kill and start again on the same port with the same data."""

    component: Component
    origin: Origin
    ports: Sequence[int]

    @property
    def version(self) -> str:
        """What runs, for a person."""

    @property
    def running(self) -> bool:
        """Whether it runs now."""

    @property
    def pids(self) -> list[int]:
        """The processes that must not outlive the stack; the first is the server."""

    def addresses(self) -> dict[str, str]:
        """Fields of :class:`~infra.local.components.StackAddresses`; known once it has started."""

    async def prepare(self, report: Report) -> None:
        """Fetch or build what it needs, once per machine."""

    async def start(self) -> None:
        """Return when clients can use it; :class:`~infra.errors.StackError` when that fails."""

    async def stop(self) -> None:
        """Return when it has ended in good order."""

    async def kill(self) -> None:
        """SIGKILL; return when it is gone."""

    async def dispose(self) -> None:
        """Remove what it keeps outside the home, unless the options say to keep data. It does not run now."""


class LocalServer(ABC):
    """A server that is a process of ours. ``home`` is the run directory of the stack."""

    component: Component
    origin = Origin.PROCESS
    ports: Sequence[int]

    def __init__(self, home: Path, options: StackOptions) -> None:
        self.home = home
        self.options = options
        self._process: GuardedProcess | None = None

    @property
    def name(self) -> str:
        return self.component.value

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    @property
    def pids(self) -> list[int]:
        if self._process is None or not self._process.running:
            return []
        return [self._process.pid, self._process.guard_pid]

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    @property
    def data(self) -> Path:
        return self.options.store(self.home) / self.name

    async def start(self) -> None:
        if self.running:
            return
        launch = await asyncio.to_thread(self.launch)
        process = GuardedProcess(self.name, launch)
        self._process = process
        for pid in self.pids:
            remember_process(self.home, pid)
        try:
            await process.until_ready(self.ready, _START_DEADLINE)
        except BaseException:
            await process.kill()
            raise

    async def stop(self) -> None:
        if self._process is not None:
            await self._process.stop()

    async def kill(self) -> None:
        if self._process is not None:
            await self._process.kill()

    async def dispose(self) -> None:
        return None

    @abstractmethod
    def launch(self) -> Launch:
        """Make the configuration and say what to run (blocking)."""

    @abstractmethod
    async def ready(self) -> bool:
        """Whether clients can use the server, and it is the one that was started."""
