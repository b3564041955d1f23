"""The run directory: one stack at a time, and what a crash left behind is ended."""

from __future__ import annotations

import contextlib
import json
import signal
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil

from infra.errors import StackError
from infra.locks import alone
from infra.running import ProcessId, read_state, state_file

_PATIENCE = 60.0  # seconds for an owner to stop its servers in good order


@contextlib.contextmanager
def owning(home: Path) -> Iterator[None]:
    """Be the one process that runs a stack in ``home``; :class:`MisuseError` if another does."""

    def refusal(who: str) -> str:
        return (
            f"a stack already runs in {home} ({who}): use it, end it with `tidegate down`, "
            "or choose another home with TIDEGATE_HOME"
        )

    with alone(home / "lock", refusal):
        try:
            yield
        finally:
            state_file(home).unlink(missing_ok=True)


def remember_process(home: Path, pid: int) -> None:
    """Note that ``pid`` must not outlive the stack in ``home``."""
    with contextlib.suppress(psutil.NoSuchProcess):  # ended already
        found = ProcessId.of(pid)
        folder = _processes(home)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{pid}.json").write_text(json.dumps(asdict(found)))


def end_leftovers(home: Path) -> list[str]:
    """End what a crashed stack in ``home`` left running; the names of the processes ended (blocking).

    Call it while :func:`owning` the home: then nothing noted there can belong to a living stack.
    """
    ended = []
    for note in _notes(home):
        process = _noted(note)
        if process is not None:
            with contextlib.suppress(psutil.Error):
                ended.append(f"{process.name()} ({process.pid})")
                family = [*process.children(recursive=True), process]
                for member in family:
                    with contextlib.suppress(psutil.NoSuchProcess):
                        member.kill()
                psutil.wait_procs(family, timeout=10)
        note.unlink(missing_ok=True)
    state_file(home).unlink(missing_ok=True)
    return ended


def forget_processes(home: Path) -> None:
    """The stack ended in good order: nothing is left to end."""
    for note in _notes(home):
        note.unlink(missing_ok=True)


def end_stack(home: Path) -> bool:
    """End the stack that runs in ``home``, or what a crashed one left; whether there was any (blocking).

    The process that owns the stack is asked by SIGTERM and has a minute; :class:`StackError` if it stays.
    """
    state = read_state(home)
    owner = state.owner.find() if state else None
    if owner is not None:
        owner.send_signal(signal.SIGTERM)
        try:
            owner.wait(_PATIENCE)
        except psutil.TimeoutExpired as error:
            raise StackError(
                f"process {owner.pid}, which runs the stack in {home}, did not end within {_PATIENCE:.0f} s; "
                f"end it with `kill -9 {owner.pid}`: its servers end with it"
            ) from error
    if not home.is_dir():
        return False
    with owning(home):
        servers = [process for note in _notes(home) if (process := _noted(note)) is not None]
        psutil.wait_procs(servers, timeout=20)  # their guards are stopping them
        return bool(end_leftovers(home)) or owner is not None or bool(servers)


def _processes(home: Path) -> Path:
    return home / "processes"


def _notes(home: Path) -> list[Path]:
    return sorted(_processes(home).glob("*.json"))


def _noted(note: Path) -> psutil.Process | None:
    try:
        return ProcessId(**json.loads(note.read_text())).find()
    except (OSError, ValueError, TypeError):
        return None
