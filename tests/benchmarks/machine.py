"""What a benchmark ran on, and what a process used: figures without these mean little."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil


def machine() -> str:
    """What this ran on."""
    memory = round(psutil.virtual_memory().total / 2**30)
    return f"{platform.machine()}, {os.cpu_count()} cores, {memory} GB, Python {platform.python_version()}"


def loop_us() -> float:
    """Microseconds of ``sum(range(1000))``: how much of a core a measurement really had (about 7 on an idle one)."""
    best = 1.0
    for _ in range(50):
        start = time.perf_counter()
        sum(range(1000))
        best = min(best, time.perf_counter() - start)
    return round(best * 1e6, 1)


def load() -> float:
    """Processes that want a core, the mean of the last minute."""
    return round(os.getloadavg()[0], 1)


def described() -> str:
    """The machine, and how busy it was, in one line."""
    return f"{machine()}, {loop_us():g} µs for sum(range(1000)), load {load():g}"


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process has used since it began: seconds of CPU, and the most memory it held, in MB."""

    cpu_seconds: float
    peak_mb: float


def usage(pid: int) -> Usage:
    """What the process ``pid`` has used so far."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    return Usage(times.user + times.system, _peak_mb(process))


def family_cpu(pid: int) -> float:
    """Seconds of CPU that ``pid`` and its living children have used so far (PostgreSQL is a family)."""
    total = 0.0
    parent = psutil.Process(pid)
    for process in (parent, *parent.children(recursive=True)):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


class Spent:
    """CPU seconds of several processes, each with its living children: ``pids`` by name. This process is one of them,
    as ``writer``; ``all else`` is what the rest of the machine had meanwhile."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._before = self._now()

    def begin(self) -> None:
        """Count from now on."""
        self._before = self._now()

    def seconds(self) -> dict[str, float]:
        """CPU seconds since :meth:`begin`, by name."""
        found = {name: seconds - self._before[name] for name, seconds in self._now().items()}
        found["all else"] -= sum(seconds for name, seconds in found.items() if name != "all else")
        return found

    def _now(self) -> dict[str, float]:
        writer = usage(os.getpid()).cpu_seconds  # without its children: they are the others
        times = psutil.cpu_times()
        busy = times.user + times.system + times.nice
        return {
            "writer": writer,
            **{name: family_cpu(pid) for name, pid in self._pids.items()},
            "all else": busy,
        }


def _peak_mb(process: psutil.Process) -> float:
    """The kernel's own high-water mark where it keeps one (Linux), else what is held now."""
    try:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float(process.memory_info().rss) / 2**20
