"""Every stored history replays whatever the order of a set: in processes of other hash seeds."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.replay.released import HISTORIES

STORED = sorted(HISTORIES.glob("*/*/*.json"))


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_every_history_replays_whatever_the_hash_seed(seed: str) -> None:
    """The order of a set decides nothing: all histories replay under these seeds too, beside this process's own."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.replay.replaying", *map(str, STORED)],
        env={**os.environ, "PYTHONHASHSEED": seed},
        cwd=HISTORIES.parents[2],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-4000:]
    assert json.loads(finished.stdout) == {}
