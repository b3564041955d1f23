"""The ``tidegate`` command as a process of its own, without the second that an interpreter and its imports take.

A child is forked from the server that the supervisor's children come from. It has words, environment, standard streams
and signals of its own, and ends with a status, as one that a shell has started. What it leaves out, the start of
``python -m tidegate`` itself, is what ``test_stack_commands.py``, ``test_demo_command.py`` and
``test_schemas_commands.py`` go through.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from tidegate.supervisor import run_command, warm_up


class ForkedProcess:
    """A running command, with what the tests use of :class:`asyncio.subprocess.Process`."""

    def __init__(
        self,
        process: ForkServerProcess,
        stdin: int,
        stdout: asyncio.StreamReader,
        stderr: asyncio.StreamReader,
    ) -> None:
        self._process = process
        self._stdin = stdin
        self.stdout = stdout
        self.stderr = stderr

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its status once it has ended; minus a signal's number."""
        return self._process.exitcode

    async def communicate(self, stdin: bytes = b"") -> tuple[bytes, bytes]:
        """Write ``stdin`` (a few kilobytes), and return what it has printed once it has ended."""
        with suppress(BrokenPipeError):  # it has ended without reading
            if stdin:
                os.write(self._stdin, stdin)
        self._close_stdin()
        out, err = await asyncio.gather(self.stdout.read(), self.stderr.read())
        await self.wait()
        return out, err

    async def wait(self) -> int:
        """Its status, once it has ended."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._process.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._process.sentinel)
        self._process.join()
        self._close_stdin()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _close_stdin(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1


async def fork_tidegate(*words: object, environment: Mapping[str, str]) -> ForkedProcess:
    """Start ``tidegate`` with ``words`` in ``environment``."""
    return await fork(run_command, ["tidegate", *map(str, words)], environment)


async def fork(
    command: Callable[[], None], words: Sequence[str], environment: Mapping[str, str]
) -> ForkedProcess:
    """Start ``command`` in a process whose ``sys.argv`` is ``words``, in ``environment`` and nothing else."""
    await asyncio.to_thread(warm_up)
    (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
    theirs = (
        Connection(stdin, writable=False),
        Connection(stdout, readable=False),
        Connection(stderr, readable=False),
    )
    process = multiprocessing.get_context("forkserver").Process(
        target=_child, args=(command, list(words), dict(environment), *theirs)
    )
    await asyncio.to_thread(process.start)
    for end in theirs:
        end.close()
    return ForkedProcess(process, to_stdin, await _reader(from_stdout), await _reader(from_stderr))


def _child(
    command: Callable[[], None],
    words: Sequence[str],
    environment: Mapping[str, str],
    *streams: Connection[Any, Any],
) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for number, stream in enumerate(streams):
        os.dup2(stream.fileno(), number)
        stream.close()
    sys.stdin = os.fdopen(0, "r", closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = list(words)
    command()


async def _reader(descriptor: int) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader
