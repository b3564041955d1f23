"""One server process under a guard: start, wait until it answers, stop, kill, start again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Final

from infra.errors import StackError

_GUARD: Final = Path(__file__).with_name("guard.py")
_LOG_TAIL = 8  # lines quoted when a server ends by itself
_PROBE_EVERY = 0.05  # seconds
# Below the range from which the kernel takes the ports of outgoing connections (32768 on Linux, 49152 on
# macOS): there, a server's port could be taken by any client while the server is down for a moment.
_PORTS: Final = range(15000, 32000)


@dataclass(frozen=True, slots=True)
class Launch:
    """What is run. ``user`` is (uid, gid) where the server must not be root; ``grace`` is in seconds.

    ``when_orphaned`` is a command to run after the server has ended because its parent was gone.
    """

    command: Sequence[str]
    log: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    user: tuple[int, int] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL
    grace: float = 20.0
    remove_when_orphaned: Sequence[Path] = ()
    when_orphaned: Sequence[str] = ()


class GuardedProcess:
    """A running server. Ends with this Python process, however that ends."""

    def __init__(self, name: str, launch: Launch) -> None:
        self.name = name
        self._launch = launch
        order = {
            "command": list(launch.command),
            "log": str(launch.log),
            "folder": str(launch.folder),
            "environment": dict(launch.environment),
            "user": launch.user,
            "stop_signal": int(launch.stop_signal),
            "orphan_signal": int(launch.orphan_signal),
            "grace": launch.grace,
            "when_orphaned": list(launch.when_orphaned),
            "remove_when_orphaned": [str(path) for path in launch.remove_when_orphaned],
        }
        launch.log.parent.mkdir(parents=True, exist_ok=True)
        self._log_start = launch.log.stat().st_size if launch.log.exists() else 0
        with launch.log.open("ab") as log:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_GUARD), json.dumps(order)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,  # Ctrl-C in a terminal reaches us only; we stop the servers in order
            )
        said = self._guard.stdout
        first = said.readline() if said else b""
        if said:
            said.close()
        if not first.strip():
            self._close()
            raise StackError(f"{name} could not be started: {launch.command[0]}: see {launch.log}")
        self.pid = int(first)
        self.guard_pid = self._guard.pid

    @property
    def running(self) -> bool:
        """Whether the server has not ended."""
        return self._guard.poll() is None

    async def until_ready(self, probe: Callable[[], Awaitable[bool]], deadline: float) -> None:
        """Return when ``probe`` says yes; one that raises OSError or TimeoutError says no.

        Raises :class:`StackError` if the server ends, or does not answer within ``deadline`` seconds.
        """
        end = time.monotonic() + deadline
        while True:
            if not self.running:
                raise StackError(
                    f"{self.name} ended while starting ({self._launch.log}): {self.last_words()}"
                )
            with contextlib.suppress(OSError, TimeoutError):
                if await asyncio.wait_for(probe(), 5) and self.running:
                    return
            if time.monotonic() > end:
                raise StackError(
                    f"{self.name} did not answer within {deadline:.0f} s; see {self._launch.log}"
                )
            await asyncio.sleep(_PROBE_EVERY)

    async def stop(self) -> None:
        """Ask the server to end, and return when it and all its children have."""
        await self._tell(b"t")

    async def kill(self) -> None:
        """SIGKILL, and return when the server and all its children are gone."""
        await self._tell(b"k")

    def last_words(self) -> str:
        """The end of what this run wrote to its log, in one line."""
        with contextlib.suppress(OSError), self._launch.log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()[-_LOG_TAIL:]
            return " | ".join(line.strip() for line in lines if line.strip())
        return ""

    async def _tell(self, letter: bytes) -> None:
        if self._guard.stdin is not None:
            with contextlib.suppress(OSError, ValueError):  # it has ended, or was told before
                self._guard.stdin.write(letter)
        await asyncio.to_thread(self._guard.wait)
        self._close()

    def _close(self) -> None:
        if self._guard.stdin is not None:
            with contextlib.suppress(OSError):
                self._guard.stdin.close()
        self._guard.wait()


def free_ports(count: int) -> list[int]:
    """``count`` different ports of 127.0.0.1 on which nothing listens now."""
    found: list[int] = []
    for candidate in SystemRandom().sample(_PORTS, 500):
        if port_is_free(candidate):
            found.append(candidate)
        if len(found) == count:
            return found
    raise StackError(f"no {count} free ports between {_PORTS.start} and {_PORTS.stop} on 127.0.0.1")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on ``port`` of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as servers do: what lingers is no matter
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
