"""A stack that outlives the command that starts it: the same command again, in a session of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from infra.errors import MisuseError, StackError
from infra.local.cache import Report
from infra.running import read_state

_LOOK_EVERY = 0.1  # seconds


def start_detached(home: Path, arguments: Sequence[str], report: Report) -> None:
    """Run ``tidegate <arguments>`` in the background; return when its stack is complete (blocking).

    What it says while it starts is passed on to ``report``. Raises :class:`StackError` with its last words if
    it ends instead.
    """
    state = read_state(home)
    if state is not None:
        raise MisuseError(
            f"a stack already runs in {home} (process {state.owner.pid}): use it, "
            "or end it with `tidegate down`"
        )
    log = home / "logs" / "up.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tidegate", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
        )
    with log.open() as words:
        said = ""
        while True:
            for line in words:
                said = line.strip()
                report(said)
            state = read_state(home)
            if state is not None and state.owner.pid == process.pid and state.servers:
                process.returncode = 0  # it goes on by itself: nobody here waits for it
                return
            if process.poll() is not None:
                said = (words.read().strip().splitlines() or [said])[-1]
                raise StackError(f"the stack could not be started: {said.removeprefix('tidegate: ')}")
            time.sleep(_LOOK_EVERY)
