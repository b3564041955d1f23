"""A state file is believed only while the stack it describes runs, and only one stack runs in a home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import psutil
import pytest

from infra.errors import MisuseError
from infra.local.process import free_ports
from infra.local.state import end_leftovers, end_stack, owning, remember_process
from infra.running import ProcessId, StackState, read_state, state_file, write_state
from infra.settings import Settings

_SETTINGS = {"kafka": {"bootstrap_servers": "127.0.0.1:15999"}}


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing until it is ended."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    yield process
    assert process.stdin
    process.stdin.close()
    process.wait()


def test_the_state_of_a_living_stack_is_read_back(tmp_path: Path) -> None:
    """What was written is read, and the settings take their addresses from it."""
    state = StackState(ProcessId.of(os.getpid()), _SETTINGS)
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
    assert Settings(home=tmp_path).kafka.bootstrap_servers == "127.0.0.1:15999"


def test_the_environment_goes_before_a_running_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable overrides what ``stack.json`` says, and only that."""
    both = {**_SETTINGS, "temporal": {"address": "127.0.0.1:15998"}}
    write_state(tmp_path, StackState(ProcessId.of(os.getpid()), both))
    monkeypatch.setenv("TIDEGATE_KAFKA__BOOTSTRAP_SERVERS", "elsewhere:9092")
    settings = Settings(home=tmp_path)
    assert settings.kafka.bootstrap_servers == "elsewhere:9092"
    assert settings.temporal.address == "127.0.0.1:15998"


def test_the_state_of_a_dead_stack_is_not_believed(tmp_path: Path) -> None:
    """A file left by a crash gives no address, also when its pid was given to another process since."""
    for owner in (ProcessId(2**22 + 1, 0.0), ProcessId(os.getpid(), 12345.0)):
        write_state(tmp_path, StackState(owner, _SETTINGS))
        assert read_state(tmp_path) is None
        assert Settings(home=tmp_path).kafka.bootstrap_servers is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"stack": 1}', '{"stack": {"owner": {"pid": "x"}}}'])
def test_a_damaged_state_file_is_no_stack(tmp_path: Path, text: str) -> None:
    """Whatever stands in the file, reading it raises nothing."""
    state_file(tmp_path).write_text(text)
    assert read_state(tmp_path) is None


def test_one_stack_in_one_home(tmp_path: Path) -> None:
    """The second is refused by name of the home, and may start when the first has ended."""
    with owning(tmp_path), pytest.raises(MisuseError, match=str(tmp_path)), owning(tmp_path):
        pass
    with owning(tmp_path):
        pass


def test_leftovers_of_a_crash_are_ended(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    """A process noted by a stack that crashed is ended by the next start."""
    remember_process(tmp_path, bystander.pid)
    with owning(tmp_path):
        [name] = end_leftovers(tmp_path)
    assert str(bystander.pid) in name
    assert not psutil.pid_exists(bystander.pid)
    with owning(tmp_path):
        assert end_leftovers(tmp_path) == []


def test_a_process_that_only_has_the_same_number_is_left_alone(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    """A note with another start time belongs to a process that is long gone."""
    remember_process(tmp_path, bystander.pid)
    [note] = (tmp_path / "processes").iterdir()
    note.write_text(json.dumps(asdict(ProcessId(bystander.pid, 12345.0))))
    with owning(tmp_path):
        assert end_leftovers(tmp_path) == []
    assert psutil.Process(bystander.pid).is_running()


def test_ending_nothing_is_no_error(tmp_path: Path) -> None:
    """``down`` without a stack says so by its result, and makes no folder."""
    assert end_stack(tmp_path / "never") is False
    assert not (tmp_path / "never").exists()


def test_free_ports_are_different_and_below_the_range_of_outgoing_connections() -> None:
    """A server that restarts finds its port free: no client was given it meanwhile."""
    ports = free_ports(8)
    assert len(set(ports)) == 8
    assert all(15000 <= port < 32000 for port in ports)
