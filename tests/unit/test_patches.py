"""Patch markers: one registry, and a reminder of those that should be gone."""

from __future__ import annotations

import ast
from datetime import date, timedelta
from pathlib import Path

import pytest

from workflows import patches
from workflows.patches import PATCHES, Patch, main, overdue

ROOT = Path(__file__).parents[2]
REGISTRY = ROOT / "workflows" / "patches.py"
THE_PLUGINS_OWN = ROOT / "workflows" / "dedupe" / "run.py"
"""Its markers are of any worker's workflows, and say what a run decided: they are no change to be removed."""
REGISTERED = {name for name, value in vars(patches).items() if isinstance(value, Patch) and value in PATCHES}


def unregistered(source: str, registered: set[str]) -> list[str]:
    """What a module's text does with markers that the registry does not know of."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in {"workflow.patched", "workflow.deprecate_patch"}:
            found.append(f"line {node.lineno}: {called}() is called in workflows/patches.py only")
        marker = None
        if called.rpartition(".")[2] in {"patched", "retired"} and node.args:
            marker = node.args[0]
        for keyword in node.keywords:
            if called.rpartition(".")[2] == "note_status" and keyword.arg == "since":
                marker = keyword.value
        if marker is not None and ast.unparse(marker).rpartition(".")[2] not in registered:
            found.append(f"line {node.lineno}: {ast.unparse(marker)} is not in PATCHES")
    return found


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in sorted((ROOT / "workflows").rglob("*.py"))
        if path not in {REGISTRY, THE_PLUGINS_OWN} and path.name != "visibility.py"
    ],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_marker_that_is_used_is_registered(path: Path) -> None:
    """A marker that nobody has written down would never be removed."""
    assert unregistered(path.read_text(), REGISTERED) == []


@pytest.mark.parametrize(
    "source",
    [
        "if workflow.patched('quick-fix'):\n    pass",
        "if patched(QUICK_FIX):\n    pass",
        "note_status('A', since=QUICK_FIX)",
        "retired(patches.QUICK_FIX)",
    ],
)
def test_a_marker_that_is_not_registered_is_found(source: str) -> None:
    """The net holds: each way to use a marker without the registry is named."""
    assert unregistered(source, REGISTERED) != []


def test_markers_are_written_down_once() -> None:
    """Two changes under one marker could not be told apart; one without a reason could not be removed."""
    names = [patch.name for patch in PATCHES]
    assert len(names) == len(set(names))
    assert all(patch.why for patch in PATCHES)


def test_a_patch_past_its_day_is_overdue() -> None:
    """On its last day it is not, a day later it is, and the sentence says which and what to do."""
    last = PATCHES[0].remove_after
    assert overdue(last, PATCHES[:1]) == []
    (reminder,) = overdue(last + timedelta(days=1), PATCHES[:1])
    assert PATCHES[0].name in reminder
    assert "docs/workflows.md" in reminder


def test_the_command_reminds_and_fails_only_where_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """`make check` reminds; a release can be made to fail."""
    assert main([], date(2000, 1, 1)) == 0
    assert capsys.readouterr().err == ""
    assert main([], date(3000, 1, 1)) == 0
    assert capsys.readouterr().err.count("reminder: ") == len(PATCHES)
    assert main(["--fail"], date(3000, 1, 1)) == 1
