"""What a benchmark ran on, and what a process used: figures without these mean little."""

from __future__ import annotations

import os
import platform
import time
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


def _peak_mb(process: psutil.Process) -> float:
    """The kernel's own high-water mark where it keeps one (Linux), else what is held now."""
    try:
        for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return float(process.memory_info().rss) / 2**20
