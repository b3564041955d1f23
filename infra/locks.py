"""What only one process may do in a home at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.errors import MisuseError


@contextmanager
def alone(lock: Path, refusal: Callable[[str], str]) -> Iterator[None]:
    """Be the one process that holds the file ``lock``, in which its process id stands.

    Raises :class:`MisuseError` if another does, with what ``refusal`` makes of "process N". The kernel gives the lock
    back when this process ends, so a crash never leaves it held.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise MisuseError(refusal(f"process {file.read().strip() or 'unknown'}")) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


@contextmanager
def only_loop(home: Path) -> Iterator[None]:
    """Be the one process that runs the loop's processes in ``home``; :class:`MisuseError` if another does.

    Two would have the same names: as members of Kafka's groups they would throw each other out for ever.
    """

    def refusal(who: str) -> str:
        return (
            f"the processes of a loop run in {home} already ({who}): "
            "let it end, or choose another home with TIDEGATE_HOME"
        )

    with alone(home / "loop.lock", refusal):
        yield
