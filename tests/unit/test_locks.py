"""What only one process may do in a home at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import MisuseError
from infra.locks import only_loop

HOLD = """
import sys
from pathlib import Path
from infra.locks import only_loop
with only_loop(Path(sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.read()
"""


def test_a_second_loop_in_a_home_is_refused_in_one_line(tmp_path: Path) -> None:
    """It names the process that has it; afterwards, and in another home, there may be one again."""
    home, other = tmp_path / "home", tmp_path / "other"
    with only_loop(home), only_loop(other), pytest.raises(MisuseError) as refused, only_loop(home):
        pass
    said = str(refused.value)
    assert f"{home} already (process {os.getpid()})" in said
    assert "\n" not in said
    with only_loop(home):
        pass


def test_a_loop_that_was_killed_is_in_nobody_s_way(tmp_path: Path) -> None:
    """The kernel gives back what a process held, however that ended; what it wrote down stays and harms nobody."""
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "holds\n"
        with pytest.raises(MisuseError, match=f"process {holder.pid}"), only_loop(tmp_path):
            pass
        holder.kill()
    with only_loop(tmp_path):
        pass
