"""Child processes that are kept running, and stopped in order.

Children are forked from a server that has imported the heavy libraries once, so that ten processes start
in about the time of one. Each child leads a session of its own: a Ctrl-C in the terminal reaches only the
supervisor, which stops the children stage by stage. A child whose supervisor is gone, even by ``kill -9``,
stops by itself.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import structlog

_FIRST_DELAY = 0.5
_LONGEST_DELAY = 30.0
_STEADY_AFTER = 60.0
_PRELOAD = ["tidegate.preload"]

log = structlog.get_logger()


def run_command() -> None:
    """Run the ``tidegate`` command whose words stand in ``sys.argv``."""
    from tidegate.cli import main

    main(supervised=True)


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """A child: its name and the words of the ``tidegate`` command that it runs.

    On stop, stages end one after the other, the lowest first; children of one stage end together.
    """

    name: str
    arguments: tuple[str, ...]
    stage: int


def warm_up() -> None:
    """Start the server that children are forked from, which then imports what they need. Blocking, but not for long."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(_PRELOAD)
    resource_tracker.ensure_running()  # or the next step would start it, and it takes SIGINT out of the mask
    # A Ctrl-C is for the process in front. The server hears it too until it has set itself up, and would end with a
    # traceback: it starts with the signal blocked, and `tidegate.preload` goes on from there.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def restart_delay(failures: int) -> float:
    """Seconds to wait before a child is started again after ``failures`` ends in a row: 0.5, 1, 2 … 30."""
    return float(min(_LONGEST_DELAY, _FIRST_DELAY * 2 ** max(0, failures - 1)))


class Supervisor:
    """Runs ``specs`` as child processes until told to stop; one that ends is started again with backoff.

    ``environment`` is added to each child's environment; each child's output is appended to
    ``<log_folder>/<name>.log``. ``command`` is what a child runs once ``sys.argv`` holds its words.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        *,
        log_folder: Path,
        environment: Mapping[str, str],
        stop_seconds: float = 20.0,
        command: Callable[[], None] = run_command,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._log_folder = log_folder
        self.environment = dict(environment)
        """What is added to each child's environment."""
        self._stop_seconds = stop_seconds
        self._command = command
        self._context: ForkServerContext
        self._running: dict[str, ForkServerProcess] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self.restarts: dict[str, int] = dict.fromkeys(self._specs, 0)
        """How often each child was started again."""

    async def start(self) -> None:
        """Start every child. Returns when all have been started, before they are ready."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        await asyncio.to_thread(warm_up)
        self._context = multiprocessing.get_context("forkserver")
        for name in self._specs:
            self.begin(name)

    def begin(self, name: str) -> None:
        """Start the child ``name``, which does not run, and keep it running. Call :meth:`start` first."""
        spec = self._specs[name]
        self._keepers[name] = asyncio.create_task(self._keep(spec), name=name)

    async def end(self, name: str) -> None:
        """Stop the child ``name`` and do not start it again before :meth:`begin`."""
        keeper = self._keepers.pop(name, None)
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        process = self._running.pop(name, None)
        if process is None or process.pid is None:
            return
        if process.is_alive():
            os.kill(process.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(_ended(process), self._stop_seconds)
            except TimeoutError:
                log.warning(
                    "process does not stop and is killed", process=name, after_seconds=self._stop_seconds
                )
                process.kill()
        await asyncio.to_thread(process.join)

    def pid(self, name: str) -> int | None:
        """The process id of the child ``name``, or None while it does not run."""
        process = self._running.get(name)
        return process.pid if process is not None and process.is_alive() else None

    async def stop(self) -> None:
        """Stop all children, stage by stage; one that does not end within ``stop_seconds`` is killed."""
        for stage in sorted({spec.stage for spec in self._specs.values()}):
            names = [name for name, spec in self._specs.items() if spec.stage == stage]
            await asyncio.gather(*(self.end(name) for name in names))

    async def _keep(self, spec: ProcessSpec) -> None:
        failures = 0
        while True:
            process = self._context.Process(
                target=_child,
                args=(
                    self._command,
                    spec.arguments,
                    str(self._log_folder / f"{spec.name}.log"),
                    self.environment,
                ),
                name=spec.name,
                daemon=False,
            )
            process.start()
            self._running[spec.name] = process
            started = time.monotonic()
            await _ended(process)
            failures = 1 if time.monotonic() - started > _STEADY_AFTER else failures + 1
            self.restarts[spec.name] += 1
            delay = restart_delay(failures)
            log.warning("process ended", process=spec.name, status=process.exitcode, again_in_seconds=delay)
            await asyncio.sleep(delay)


async def _ended(process: ForkServerProcess) -> None:
    """Wait until ``process`` has ended, without a thread of its own."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    loop.add_reader(process.sentinel, gone.set)
    try:
        await gone.wait()
    finally:
        loop.remove_reader(process.sentinel)


def _child(
    command: Callable[[], None], arguments: Sequence[str], log_file: str, environment: Mapping[str, str]
) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(environment)
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    sys.argv = ["tidegate", *arguments]
    command()


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    multiprocessing.connection.wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20.0)
    os._exit(1)
