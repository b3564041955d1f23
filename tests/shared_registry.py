"""One schema registry for all workers of a test run: a JVM whose start costs more than what the tests ask of it.

pytest-xdist's controller hosts it, started when the first worker asks and ended with the run, however that ends: a
worker may end, or crash, while others still need it. What tests register carries their ``unique`` suffix, and none
stops it: who needs a registry to kill starts one. Without workers, the session's stack has a registry of its own.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from infra.errors import MisuseError, StackError
from infra.local import Component, StackOptions, running_stack
from infra.local.cache import Report, report_to_stderr
from infra.local.choice import Origin
from infra.local.stack import ServerFactory
from infra.settings import RegistrySettings
from schemas.registry import Registry


class RegistryHost:
    """Answers workers at ``address``, a socket of this machine, from a thread of its own.

    ``factories`` says how servers are run; it is asked when the first worker asks.
    """

    def __init__(
        self, factories: Callable[[], Mapping[Component, ServerFactory]], options: StackOptions
    ) -> None:
        self._factories = factories
        self._options = options
        self._folder = tempfile.TemporaryDirectory(prefix="tidegate-")  # the path of a socket must be short
        self.address = str(Path(self._folder.name) / "registry")
        self._loop = asyncio.new_event_loop()
        self._one_at_a_time = asyncio.Lock()
        self._servers = AsyncExitStack()
        self._answer: bytes | None = None
        self._open, self._closing = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="registry of the run")
        self._thread.start()
        self._open.wait()

    def close(self) -> None:
        """End the registry, if it was started; return when nothing of it is left. Doing it again changes nothing."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
        self._folder.cleanup()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())  # and whoever still waits for an answer is cancelled

    async def _serve(self) -> None:
        async with self._servers:
            listening = await asyncio.start_unix_server(self._speak, self.address)
            self._open.set()
            await self._closing.wait()
            listening.close()

    async def _speak(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            home = Path((await reader.readline()).decode().rstrip("\n"))
            async with self._one_at_a_time:
                if self._answer is None:
                    self._answer = await self._started(home)
            writer.write(self._answer)
        except Exception as error:  # whatever it is, the worker that waits is told
            writer.write(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        finally:
            writer.close()

    async def _started(self, home: Path) -> bytes:
        factories = await asyncio.to_thread(self._factories)
        stack = await self._servers.enter_async_context(
            running_stack(
                home, {Component.REGISTRY}, self._options, factories=factories, report=report_to_stderr
            )
        )
        server = stack.servers[Component.REGISTRY]
        async with Registry(RegistrySettings(url=stack.addresses.registry_url)) as registry:
            await registry.register_all()
        return json.dumps(
            {"url": stack.addresses.registry_url, "version": server.version, "origin": server.origin}
        ).encode()


class SharedRegistry:
    """The registry behind the :class:`RegistryHost` at ``address``, as a server of a stack.

    It has our schemas when it has started. ``home`` is its run directory if this is the first to ask.
    """

    component = Component.REGISTRY
    ports: Sequence[int] = ()

    def __init__(self, address: str, home: Path) -> None:
        self._address = address
        self._home = home
        self._said: dict[str, str] = {}
        self.origin = Origin.PROCESS

    @property
    def pids(self) -> list[int]:
        """None: they are the host's."""
        return []

    @property
    def version(self) -> str:
        """What runs, for a person."""
        return self._said.get("version", "not asked for yet")

    @property
    def running(self) -> bool:
        """Whether the host has started it."""
        return bool(self._said)

    def addresses(self) -> dict[str, str]:
        """Where it answers."""
        return {"registry_url": self._said["url"]} if self._said else {}

    async def prepare(self, report: Report) -> None:
        """Nothing: the host does."""

    async def start(self) -> None:
        """Ask the host for it."""
        if self.running:
            return
        reader, writer = await asyncio.open_unix_connection(self._address)
        try:
            writer.write(f"{self._home}\n".encode())
            answer = await reader.read()
        finally:
            writer.close()
        said = json.loads(answer or b'{"error": "the test run that hosts the registry has ended"}')
        if "error" in said:
            raise StackError(said["error"])
        self._said = said
        self.origin = Origin(said["origin"])

    async def stop(self) -> None:
        """Nothing: others use it."""

    async def kill(self) -> None:
        """Not this one."""
        raise MisuseError("the registry belongs to the whole test run: a test that kills one starts its own")

    async def dispose(self) -> None:
        """Nothing: the host does."""
