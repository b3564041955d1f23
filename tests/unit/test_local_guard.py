"""A server never outlives the process that started it, and is gone when its guard says so."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from infra.errors import StackError
from infra.local.process import GuardedProcess, Launch
from tests.waiting import until

_SERVER = "import os, sys, signal, time; {}; print('up', flush=True); signal.pause()"


def launch(folder: Path, body: str = "pass", **changes: object) -> Launch:
    """A stand-in for a server: does ``body``, says ``up``, and waits for a signal."""
    command = [sys.executable, "-c", _SERVER.format(body)]
    return Launch(command=command, log=folder / "server.log", folder=folder, **changes)  # type: ignore[arg-type]


async def until_up(folder: Path) -> None:
    """The stand-in has said that it is up."""
    await until(lambda: "up" in (folder / "server.log").read_text(), what="the server is up")


async def test_stopping_uses_the_servers_own_signal(tmp_path: Path) -> None:
    """The server gets ``stop_signal`` and ends in its own way."""
    body = "signal.signal(signal.SIGUSR1, lambda *_: (print('bye', flush=True), os._exit(0)))"
    process = GuardedProcess("server", launch(tmp_path, body, stop_signal=signal.SIGUSR1))
    await until_up(tmp_path)
    await process.stop()
    assert "bye" in (tmp_path / "server.log").read_text()
    assert not psutil.pid_exists(process.pid)


async def test_a_server_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    """After its grace the server is killed."""
    body = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    process = GuardedProcess("server", launch(tmp_path, body, grace=0.1))
    await until_up(tmp_path)
    await process.stop()
    assert not psutil.pid_exists(process.pid)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_the_servers_children_are_gone_too(tmp_path: Path, how: str) -> None:
    """When stop or kill returns nothing of the server is left, so its port and data are free."""
    body = "import subprocess; subprocess.Popen(['sleep', '1000'], start_new_session=True)"
    process = GuardedProcess("server", launch(tmp_path, body))
    await until_up(tmp_path)
    [child] = psutil.Process(process.pid).children()
    await getattr(process, how)()
    assert not psutil.pid_exists(process.pid)
    assert not child.is_running()


async def test_a_guard_that_is_killed_takes_its_server_along(tmp_path: Path) -> None:
    """SIGKILL to the guard ends the server: the kernel sees to it."""
    if sys.platform != "linux":
        pytest.skip("PR_SET_PDEATHSIG is Linux's")
    process = GuardedProcess("server", launch(tmp_path))
    await until_up(tmp_path)
    server = psutil.Process(process.pid)
    os.kill(process.guard_pid, signal.SIGKILL)
    await until(lambda: not server.is_running() or server.status() == psutil.STATUS_ZOMBIE)
    await process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_a_parent_that_dies_leaves_no_server(tmp_path: Path, number: signal.Signals) -> None:
    """However the parent ends, the server ends, and what is to be removed then is removed."""
    state = tmp_path / "stack.json"
    state.touch()
    script = f"""
        import signal
        from pathlib import Path
        from infra.local.process import GuardedProcess, Launch
        here = Path({str(tmp_path)!r})
        server = GuardedProcess("server", Launch(command=["sleep", "1000"], log=here / "log", folder=here,
                                                 remove_when_orphaned=[here / "stack.json"]))
        print(server.pid, flush=True)
        signal.pause()
    """
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(script), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout
    server = psutil.Process(int(await parent.stdout.readline()))
    parent.send_signal(number)
    await parent.wait()
    await until(lambda: not server.is_running() and not state.exists())


async def test_a_server_that_ends_while_starting_is_quoted(tmp_path: Path) -> None:
    """The error names the server, its log, and the last thing it said."""
    command = [sys.executable, "-c", "print('no such database'); raise SystemExit(3)"]
    process = GuardedProcess("server", Launch(command=command, log=tmp_path / "log", folder=tmp_path))

    async def never() -> bool:
        return False

    with pytest.raises(StackError, match=r"server ended while starting .*no such database"):
        await process.until_ready(never, 30)
    await process.stop()


def test_a_binary_that_is_not_there_is_named(tmp_path: Path) -> None:
    """A command that cannot be run is an error at once."""
    with pytest.raises(StackError, match="/no/such/server"):
        GuardedProcess("server", Launch(command=["/no/such/server"], log=tmp_path / "log", folder=tmp_path))
