"""The supervisor: children are kept running, stopped in order, and never outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import psutil

from tests.waiting import until
from tidegate.supervisor import ProcessSpec, Supervisor, restart_delay


def child() -> None:
    """A child: writes its pid where it was told, then its name to the journal when it is stopped."""
    name, folder = sys.argv[1], Path(os.environ["FOLDER"])

    def stopped(number: int, frame: object) -> None:
        with (folder / "journal").open("a") as journal:
            journal.write(name + "\n")
        os._exit(0)

    signal.signal(signal.SIGTERM, stopped)
    (folder / f"{name}.{os.getpid()}").touch()
    while True:
        signal.pause()


def _pids(folder: Path, name: str) -> list[int]:
    return [int(path.suffix[1:]) for path in folder.glob(f"{name}.*") if path.suffix[1:].isdigit()]


def _supervisor(folder: Path) -> Supervisor:
    return Supervisor(
        [ProcessSpec("first", ("first",), 0), ProcessSpec("second", ("second",), 1)],
        log_folder=folder / "logs",
        environment={"FOLDER": str(folder)},
        command=child,
    )


async def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    """A child that is killed with SIGKILL comes back under a new process id."""
    supervisor = _supervisor(tmp_path)
    await supervisor.start()
    await until(lambda: len(_pids(tmp_path, "first")) == 1 and supervisor.pid("first") is not None)
    victim = supervisor.pid("first")
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    await until(lambda: supervisor.pid("first") not in {None, victim})
    assert supervisor.restarts["first"] == 1
    await supervisor.stop()


async def test_children_stop_stage_by_stage(tmp_path: Path) -> None:
    """A child of a later stage is told to stop only when those before it have ended."""
    supervisor = _supervisor(tmp_path)
    await supervisor.start()
    await until(lambda: bool(_pids(tmp_path, "first") and _pids(tmp_path, "second")))
    await supervisor.stop()
    assert (tmp_path / "journal").read_text().split() == ["first", "second"]


async def test_no_child_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    """``kill -9`` of the supervising process ends its children too."""
    program = (
        "import asyncio, pathlib\n"
        "from tests.integration.test_supervisor import _supervisor\n"
        "async def main():\n"
        f"    await _supervisor(pathlib.Path({str(tmp_path)!r})).start()\n"
        "    await asyncio.Event().wait()\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    script = tmp_path / "main.py"
    script.write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = await asyncio.create_subprocess_exec(sys.executable, str(script), env=environment)
    await until(lambda: bool(_pids(tmp_path, "first") and _pids(tmp_path, "second")))
    process.kill()
    await process.wait()
    children = _pids(tmp_path, "first") + _pids(tmp_path, "second")
    await until(lambda: not any(psutil.pid_exists(pid) for pid in children))


def test_the_delay_before_a_restart_grows_to_a_limit() -> None:
    """Half a second at first, doubled each time, thirty seconds at most."""
    assert [restart_delay(failures) for failures in (1, 2, 3, 9)] == [0.5, 1.0, 2.0, 30.0]
