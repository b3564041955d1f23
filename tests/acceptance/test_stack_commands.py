"""``tidegate up``, ``status``, ``down`` and ``doctor``, as a person types them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest
import pytest_asyncio

from infra.running import read_state
from tests.waiting import until

_SMALL = ("--component", "postgres", "--component", "temporal")


class CommandLine:
    """Runs ``tidegate`` with a home of its own, where no address is given."""

    def __init__(self, home: Path) -> None:
        self.home = home
        outside = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
        self._environment = {**outside, "TIDEGATE_HOME": str(home), "TIDEGATE_LOCAL_DOCKER": "false"}

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """Start a command and return at once."""
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tidegate", *arguments,
            env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run a command to its end: exit status, standard output, standard error."""
        process = await self.start(*arguments)
        out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    async def object(self, *arguments: str) -> dict[str, Any]:
        """The object that a command prints with ``--json``."""
        _, out, _ = await self.run(*arguments, "--json")
        answer: dict[str, Any] = json.loads(out.splitlines()[-1])
        return answer

    def processes(self) -> list[psutil.Process]:
        """The servers that the stack in the home says it runs, and its owner."""
        state = read_state(self.home)
        assert state is not None
        noted = [state.owner, *(server.process for server in state.servers.values() if server.process)]
        return [found for process in noted if (found := process.find()) is not None]


@pytest_asyncio.fixture(loop_scope="session")
async def tidegate(tmp_path: Path) -> AsyncIterator[CommandLine]:
    """The command line; what it leaves running is ended."""
    command_line = CommandLine(tmp_path / "home")
    yield command_line
    await command_line.run("down")


async def test_up_and_down(tidegate: CommandLine) -> None:
    """A stack started in the background is shown by status, used by its address, and ended by down."""
    code, out, err = await tidegate.run("up", "--detach", *_SMALL)
    assert code == 0, err
    assert "Temporal's web UI: http://127.0.0.1:" in out
    shown = await tidegate.object("status")
    assert shown["running"] is True
    assert {name: server["state"] for name, server in shown["servers"].items()} == {
        "postgres": "running",
        "temporal": "running",
    }
    connection = await asyncpg.connect(shown["postgres"]["dsn"])
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    running = tidegate.processes()
    assert len(running) == 3
    assert await tidegate.object("down") == {"ended": True, "home": str(tidegate.home)}
    assert not any(process.is_running() for process in running)
    assert not (tidegate.home / "stack.json").exists()
    code, out, _ = await tidegate.run("status")
    assert (code, "start one with `tidegate up`" in out) == (1, True)


async def test_a_second_up_says_who_runs_there(tidegate: CommandLine) -> None:
    """Starting twice in one home is misuse: one line, exit status 2, and the first goes on."""
    await tidegate.run("up", "--detach", "--component", "postgres")
    [owner, *_] = tidegate.processes()
    for arguments in (["up", "--component", "postgres"], ["up", "--detach"]):
        code, out, err = await tidegate.run(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("tidegate: a stack already runs in ")
        assert err.count("\n") == 1
    assert owner.is_running()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
async def test_whatever_ends_up_ends_its_servers(tidegate: CommandLine, number: signal.Signals) -> None:
    """Ctrl-C and kill -9 of a stack in the foreground leave nothing running, and the next one starts."""
    process = await tidegate.start("up", "--component", "postgres")
    await until(lambda: read_state(tidegate.home) is not None, what="the stack runs")
    running = tidegate.processes()
    assert len(running) == 2
    process.send_signal(number)
    await process.communicate()
    assert process.returncode == (-number if number is signal.SIGKILL else 0)
    await until(lambda: not any(left.is_running() for left in running), what="nothing is left")
    again = await tidegate.start("up", "--component", "postgres")
    await until(lambda: read_state(tidegate.home) is not None, what="the next stack runs")
    again.terminate()
    await again.communicate()
    assert again.returncode == 0


async def test_a_signal_while_servers_start_ends_the_start(tidegate: CommandLine) -> None:
    """Ctrl-C in the middle of the start ends what was begun."""
    process = await tidegate.start("up", *_SMALL)
    noted = tidegate.home / "processes"
    await until(lambda: any(noted.glob("*.json")), what="a server is starting")
    begun = [
        psutil.Process(int(note.stem)) for note in noted.glob("*.json") if psutil.pid_exists(int(note.stem))
    ]
    process.send_signal(signal.SIGINT)
    await process.communicate()
    await until(lambda: not any(left.is_running() for left in begun))
    assert read_state(tidegate.home) is None


async def test_status_names_a_server_that_has_ended(tidegate: CommandLine) -> None:
    """A server that died by itself is shown as ended, with its log, and status says so by its exit status."""
    await tidegate.run("up", "--detach", "--component", "postgres")
    shown = await tidegate.object("status")
    psutil.Process(shown["servers"]["postgres"]["pid"]).kill()
    await until(lambda: len(tidegate.processes()) == 1, what="only the owner is left")
    code, out, _ = await tidegate.run("status")
    assert code == 1
    assert "ended" in out


async def test_doctor_finds_what_the_stack_needs(tidegate: CommandLine) -> None:
    """On a machine where the tests run nothing is missing, and every need is named with its state."""
    code, out, err = await tidegate.run("doctor", "--json")
    findings = {finding["what"]: finding for finding in json.loads(out)["findings"]}
    assert code == 0, err
    assert {"Python", "PostgreSQL", "Java", "kafka", "registry", "temporal", "Docker"} <= set(findings)
    assert all(finding["state"] in {"here", "later"} for finding in findings.values())


async def test_doctor_says_how_to_get_what_is_not_here(tidegate: CommandLine, tmp_path: Path) -> None:
    """With an empty cache the jars come at the first start, and doctor says from where."""
    tidegate._environment["XDG_CACHE_HOME"] = str(tmp_path / "empty")
    findings = {finding["what"]: finding for finding in (await tidegate.object("doctor"))["findings"]}
    assert findings["kafka"]["state"] == "later"
    assert "Maven" in findings["kafka"]["cure"]


async def test_fetch_leaves_what_is_there(tidegate: CommandLine) -> None:
    """What the servers need is in the cache or comes into it; nothing is started."""
    assert await tidegate.object("fetch") == {"ready": ["kafka", "postgres", "registry", "temporal"]}
    code, _, _ = await tidegate.run("status")
    assert code == 1


@pytest.mark.parametrize("command", ["up", "down", "status", "doctor", "fetch"])
async def test_help_shows_an_example(tidegate: CommandLine, command: str) -> None:
    """Each command's help ends with an example to copy."""
    code, out, _ = await tidegate.run(command, "--help")
    assert code == 0
    assert f"Example: tidegate {command}" in out
