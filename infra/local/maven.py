"""Files from a Maven repository, through jgo: which repository is asked is jgo's own configuration."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import stamina
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import Artifact, MavenContext, PythonResolver

from infra.errors import StackError
from infra.local.cache import Report, report_to_stderr
from infra.local.pinned import Pin

_FETCHES_AT_ONCE = 8
_TIMEOUT = 60  # seconds without a byte
_LARGE = 20_000_000  # bytes


def maven(repo_cache: Path, report: Report = report_to_stderr) -> MavenContext:
    """Maven as this user has set it up for jgo, storing into ``repo_cache``."""
    settings = GlobalSettings.load()
    return MavenContext(
        resolver=PythonResolver(progress_callback=partial(_tell_of_large_file, report)),
        repo_cache=repo_cache,
        local_repos=[settings.repo_cache],
        remote_repos={"central": MAVEN_CENTRAL_URL, **settings.repositories},
        timeout=_TIMEOUT,
    )


def fetch(name: str, pins: Sequence[Pin], folder: Path, report: Report) -> None:
    """Put the files of ``pins``, verified, into ``folder`` (blocking). Raises :class:`StackError`."""
    report(f"{name}: fetching {len(pins)} file(s), once")
    context = maven(folder / ".maven", report)
    done = 0
    size = 0
    lock = threading.Lock()

    def one(pin: Pin) -> None:
        nonlocal done, size
        component = context.project(pin.group, pin.artifact).at_version(pin.version)
        artifact = component.artifact(pin.classifier, pin.packaging)
        try:
            fetched = _resolve(artifact)
        except Exception as error:
            raise StackError(
                f"{name}: {pin.coordinate} could not be fetched: {error}; "
                "check the network and jgo's configuration"
            ) from error
        _verify(fetched, pin)
        shutil.copyfile(fetched, folder / fetched.name)
        with lock:
            done += 1
            size += fetched.stat().st_size
            if done % 10 == 0 or done == len(pins):
                report(f"{name}: {done}/{len(pins)} files, {size / 1e6:.0f} MB")

    with ThreadPoolExecutor(_FETCHES_AT_ONCE, thread_name_prefix=f"fetch-{name}") as pool:
        for result in [pool.submit(one, pin) for pin in pins]:
            result.result()
    shutil.rmtree(folder / ".maven", ignore_errors=True)


@stamina.retry(on=(OSError, RuntimeError), attempts=3, wait_initial=1.0)
def _resolve(artifact: Artifact) -> Path:
    """Fetch one file; a connection that breaks (an OSError in requests) costs another try."""
    try:
        return Path(artifact.resolve())
    except BaseException:
        if artifact.cached_path is not None:
            artifact.cached_path.unlink(missing_ok=True)  # what came so far would pass for the whole
        raise


@contextmanager
def _tell_of_large_file(report: Report, name: str, size: int) -> Iterator[Callable[[int], None]]:
    """jgo's way of following a download: a line for each quarter of a large file."""
    done = 0

    def more(count: int) -> None:
        nonlocal done
        before, done = done * 4 // size, done + count
        if size >= _LARGE and done * 4 // size > before:
            report(f"{name}: {done / 1e6:.0f} of {size / 1e6:.0f} MB")

    yield more


def _verify(path: Path, pin: Pin) -> None:
    with path.open("rb") as handle:
        actual = hashlib.file_digest(handle, "sha256").hexdigest()
    if actual != pin.sha256:
        raise StackError(
            f"{pin.coordinate} has SHA-256 {actual}, but {pin.sha256} is pinned: it was changed or damaged "
            f"on its way; delete {path} if it is in your Maven repository, and try again"
        )
