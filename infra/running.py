"""``stack.json``: which local stack runs in a run directory, and whether to believe the file.

The file exists while a stack runs. After a crash it may still lie there, so it is believed only while the
process that wrote it lives. Its shape is a part of :class:`infra.settings.Settings`, and a ``stack`` object.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

_CLOCK_TOLERANCE = 0.02  # seconds; a start time is computed from ticks of 10 ms


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has ``pid`` now; psutil.NoSuchProcess where there is none."""
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process, if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) < _CLOCK_TOLERANCE
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.Error:
            return None


@dataclass(frozen=True, slots=True)
class RunningServer:
    """One server of a running stack: how it is run, what it is, its process, its log."""

    origin: str
    version: str
    process: ProcessId | None = None
    log: str | None = None

    @property
    def running(self) -> bool:
        """Whether it runs now; a server that was given is taken to."""
        return self.origin == "given" or (self.process is not None and self.process.find() is not None)


@dataclass(frozen=True, slots=True)
class StackState:
    """What ``stack.json`` says: who runs the stack, where it answers, what it is made of."""

    owner: ProcessId
    settings: Mapping[str, Any]
    servers: Mapping[str, RunningServer] = field(default_factory=dict)


def state_file(home: Path) -> Path:
    """Where the state of the stack in ``home`` stands."""
    return home / "stack.json"


def write_state(home: Path, state: StackState) -> None:
    """Replace ``stack.json`` as a whole: a reader sees the old one or the new one."""
    path = state_file(home)
    servers = {name: asdict(server) for name, server in state.servers.items()}
    document = {**state.settings, "stack": {"owner": asdict(state.owner), "servers": servers}}
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(json.dumps(document, indent=2) + "\n")
    scratch.replace(path)


def read_state(home: Path) -> StackState | None:
    """The stack that runs in ``home``; ``None`` where none does, whatever a crash left there."""
    try:
        document = json.loads(state_file(home).read_text())
        stack = document.pop("stack")
        owner = ProcessId(**stack["owner"])
        servers = {name: _server(server) for name, server in stack["servers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return StackState(owner, document, servers) if owner.find() is not None else None


def _server(values: Mapping[str, Any]) -> RunningServer:
    process = values["process"]
    return RunningServer(**{**values, "process": ProcessId(**process) if process else None})
