"""Where a local PostgreSQL keeps its data: in memory only what is thrown away, and only where there is room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.local import StackOptions, postgres
from infra.local.postgres import LocalPostgres

NOBODY = 2**22 + 1
"""A process id beyond those that Linux gives."""


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that counts as memory with room enough."""
    folder = tmp_path / "memory"
    folder.mkdir()
    monkeypatch.setattr(postgres, "_MEMORY", folder)
    monkeypatch.setattr(postgres, "_MEMORY_ENOUGH", 0)
    monkeypatch.setattr(postgres, "_PUBLIC", tmp_path)
    return folder


def test_only_what_is_thrown_away_and_not_synced_is_kept_in_memory(memory: Path, tmp_path: Path) -> None:
    """What a power failure must not take is on the disk, and so is what the next stack is to find."""
    places = {
        (fsync, keep): LocalPostgres(tmp_path / "home", StackOptions(keep_data=keep, fsync=fsync)).data
        for fsync in (False, True)
        for keep in (False, True)
    }
    assert [choice for choice, place in places.items() if place.is_relative_to(memory)] == [(False, False)]


def test_little_memory_is_left_alone(memory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's memory folder is often of 64 MB; a folder that is not there has no room at all."""
    thrown_away = StackOptions(fsync=False)
    monkeypatch.setattr(postgres, "_MEMORY_ENOUGH", 2**62)
    assert not LocalPostgres(tmp_path / "home", thrown_away).data.is_relative_to(memory)
    monkeypatch.setattr(postgres, "_MEMORY_ENOUGH", 0)
    monkeypatch.setattr(postgres, "_MEMORY", tmp_path / "nowhere")
    assert not LocalPostgres(tmp_path / "home", thrown_away).data.is_relative_to(tmp_path / "nowhere")


def test_a_folder_of_somebody_else_is_passed_over(memory: Path, tmp_path: Path) -> None:
    """Who keeps nothing in memory neither makes a folder there nor follows one that leads elsewhere."""
    postgres._forget_lost_homes()
    assert list(memory.iterdir()) == []
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "theirs").mkdir(parents=True)
    (elsewhere / "theirs.home").write_text(f"{tmp_path / '-'}\n{NOBODY}\n")
    (memory / f"tidegate-{os.geteuid()}").symlink_to(elsewhere)
    postgres._forget_lost_homes()
    assert (elsewhere / "theirs").exists()


def test_what_killed_processes_left_in_memory_is_removed(memory: Path, tmp_path: Path) -> None:
    """Data of a process that lives, whose home is there, stays; on the disk that of one that has ended does as well."""
    mark = tmp_path / "mark"
    mark.touch()
    for place in (memory, tmp_path):
        folder = place / f"tidegate-{os.geteuid()}"
        folder.mkdir()
        for name, home, pid in (
            ("live", mark, os.getpid()),
            ("killed", mark, NOBODY),
            ("lost", tmp_path / "-", 1),
        ):
            (folder / name).mkdir()
            (folder / f"{name}.home").write_text(f"{home}\n{pid}\n")
    postgres._forget_lost_homes()
    left = {
        place: sorted(path.name for path in (place / f"tidegate-{os.geteuid()}").iterdir())
        for place in (memory, tmp_path)
    }
    assert left == {
        memory: ["live", "live.home"],
        tmp_path: ["killed", "killed.home", "live", "live.home"],
    }
