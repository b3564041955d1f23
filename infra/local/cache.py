"""The cache of what was downloaded or built: shared by every checkout and every stack of one user."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Report = Callable[[str], None]
"""Takes one line that says what is going on; called from any thread."""


def report_to_stderr(line: str) -> None:
    """Print a progress line where it does not mix with a command's output."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress is meant for the person who waits


def cache_directory() -> Path:
    """``$XDG_CACHE_HOME/tidegate``, made if needed; ``~/.cache/tidegate`` where the variable is not set."""
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base else Path.home() / ".cache"
    directory = root / "tidegate"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def build_once(target: Path, build: Callable[[Path], None], report: Report) -> Path:
    """Return ``target``, made by ``build(folder)`` if it does not exist yet.

    ``build`` fills an empty folder beside the target, which is renamed into place when it returns: a folder
    that exists is complete, whatever was killed. One process builds at a time; the others wait and then find
    it there.
    """
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with exclusive(target.with_name(f".{target.name}.lock"), report, what=target.name):
        if not target.exists():
            scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
            try:
                build(scratch)
                scratch.chmod(0o755)
                scratch.rename(target)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    return target


@contextmanager
def exclusive(lock: Path, report: Report, *, what: str) -> Iterator[None]:
    """Hold ``lock`` (released by the kernel when this process ends, however it ends)."""
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that prepares {what}")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
