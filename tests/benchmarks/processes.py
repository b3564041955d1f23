"""Processes of a benchmark: they end with it, however it ends, and what they said is known."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local.process import GuardedProcess, Launch


@dataclass(frozen=True, slots=True)
class Running:
    """A process. ``began`` is when it was asked to start, on :func:`time.perf_counter`'s clock."""

    process: GuardedProcess
    began: float
    log: Path

    def check(self) -> None:
        """Raise if it has ended."""
        if not self.process.running:
            raise RuntimeError(f"{self.process.name} ended: {self.process.last_words()[-600:]}")

    async def says(self, words: str, patience: float = 60.0) -> None:
        """Return once its log has ``words``."""
        end = time.monotonic() + patience
        while words not in self.log.read_text(errors="replace"):
            self.check()
            if time.monotonic() > end:
                raise TimeoutError(f"{self.process.name} did not say {words!r} within {patience:g} s")
            await asyncio.sleep(0.05)


@asynccontextmanager
async def guarded(
    name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
) -> AsyncIterator[Running]:
    """Run ``command`` until the end of the block; then it is asked to end, and has."""
    log = folder / "logs" / f"{name}-{time.time_ns()}.log"
    began = time.perf_counter()
    process = GuardedProcess(name, Launch(list(command), log, folder, dict(environment)))
    try:
        yield Running(process, began, log)
    finally:
        await process.stop()


def python(module: str, *words: str) -> list[str]:
    """The command of a module of ours."""
    return [sys.executable, "-m", module, *words]


def ours(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of ours, which runs in another folder."""
    here = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **environment, "PYTHONPATH": here}


async def answer(
    name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str], patience: float
) -> dict[str, Any]:
    """Run ``command`` to its end; the JSON object in its last line."""
    async with guarded(name, command, folder, environment) as running:
        end = time.monotonic() + patience
        while running.process.running:
            if time.monotonic() > end:
                raise TimeoutError(f"{name} took more than {patience:g} s")
            await asyncio.sleep(0.05)
        lines = running.log.read_text(errors="replace").splitlines()
        for line in reversed(lines):
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                return found
        raise RuntimeError(f"{name} gave no answer: {running.process.last_words()[-600:]}")
