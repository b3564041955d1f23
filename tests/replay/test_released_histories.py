"""What is kept of the workflows that were released, and of both branches of every change."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from tests.replay import released
from tests.replay.released import HISTORIES, digest, folders
from workflows.patches import PATCHES, Patch


def markers(path: Path) -> list[str]:
    """The patch markers that a history holds."""
    events: list[dict[str, Any]] = json.loads(path.read_text())["events"]
    found = []
    for event in events:
        marker = event.get("markerRecordedEventAttributes", {})
        if marker.get("markerName") == "core_patch":
            for payloads in marker["details"].values():
                found += [
                    json.loads(base64.b64decode(payload["data"]))["id"] for payload in payloads["payloads"]
                ]
    return found


@pytest.mark.parametrize("name", sorted(released.released()))
def test_a_released_history_is_never_changed(name: str) -> None:
    """It stands for workflows that may still run: a change of it would hide a change of theirs."""
    assert digest(HISTORIES / name) == released.released()[name], (
        f"{name} was released: restore its files, and record new histories under the next version"
    )


def test_a_change_of_a_released_history_is_found(tmp_path: Path) -> None:
    """Changed, added, renamed or taken away: each gives another digest."""
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(name)
    digests = [digest(tmp_path)]
    (tmp_path / "a.json").write_text("changed")
    digests.append(digest(tmp_path))
    (tmp_path / "c.json").write_text("added")
    digests.append(digest(tmp_path))
    (tmp_path / "c.json").rename(tmp_path / "d.json")
    digests.append(digest(tmp_path))
    (tmp_path / "d.json").unlink()
    (tmp_path / "b.json").unlink()
    digests.append(digest(tmp_path))
    assert len(set(digests)) == len(digests)


def test_histories_stand_under_a_workflow_and_a_version() -> None:
    """``histories/<workflow>/<version>/<scenario>.json``: whose they are can be told from the path."""
    assert all(len(Path(name).parts) == 2 for name in folders())
    assert {path.parent.relative_to(HISTORIES).as_posix() for path in HISTORIES.rglob("*.json")} <= {
        *folders(),
        ".",
    }


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.name)
def test_both_branches_of_a_change_are_kept(patch: Patch) -> None:
    """A run from before the change, and one that took it: without either, half of the code replays nothing."""
    stored = [markers(path) for path in HISTORIES.glob(f"{patch.workflow}/*/*.json")]
    assert any(patch.name in found for found in stored), f"no history of {patch.workflow} has the marker"
    assert any(patch.name not in found for found in stored), (
        f"no history of {patch.workflow} is from before it"
    )
