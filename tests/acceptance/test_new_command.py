"""``tidegate new workflow``: what it writes passes the checks of the tree, and its own tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import InvalidInputError, MisuseError
from tidegate.scaffold import NewWorkflow, write

ROOT = Path(__file__).parents[2]
NEW = NewWorkflow("GoodsInspection", "lot", "ims")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this source tree with one workflow more."""
    copy = tmp_path_factory.mktemp("new") / "tree"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "dist")
    shutil.copytree(ROOT, copy, ignore=ignored)
    shutil.copytree(ROOT / "tests/replay/histories", copy / "tests/replay/histories", dirs_exist_ok=True)
    done = run(
        copy, "-m", "tidegate", "new", "workflow", "GoodsInspection", "--subject", "lot", "--context", "ims"
    )
    assert done.returncode == 0, done.stderr
    assert "consumers/bridge/routes.py: on(<Event>).start(GOODS_INSPECTION)" in done.stdout
    return copy


def run(tree: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python in ``tree``, whose packages come before those of this one."""
    return subprocess.run(
        [sys.executable, *words], cwd=tree, capture_output=True, text=True, timeout=280, check=False
    )


def test_what_is_written_passes_the_checks(tree: Path, pytestconfig: pytest.Config) -> None:
    """Format, lint, types, layers, determinism: as `make check` asks of everything."""
    types = str(pytestconfig.cache.mkdir("mypy")) if pytestconfig.cache else os.devnull
    written = [str(path) for path in NEW.files.values()]
    registries = ["workflows/contracts/__init__.py", "workflows/worker.py", "workflows/policies.py"]
    for words in (
        ("-m", "ruff", "format", "--check", *written, *registries, "tests/replay/scenarios.py"),
        ("-m", "ruff", "check", *written, *registries, "tests/replay/scenarios.py"),
        ("-m", "mypy", "--follow-imports=silent", "--cache-dir", types, *written),
        ("-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"),
        ("-m", "workflows.determinism"),
    ):
        done = run(tree, *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"


@pytest.mark.usefixtures("time_skipping_server")
def test_what_is_written_passes_its_tests_and_replays(tree: Path) -> None:
    """Its own tests, and once its histories are recorded, the nets of determinism."""
    recorded = run(tree, "-m", "tests.replay.record", "--workflow", "GoodsInspectionWorkflow")
    assert recorded.returncode == 0, recorded.stderr[-2000:]
    done = run(
        tree,
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"),
        *("tests/integration/test_goods_inspection_workflow.py", "tests/replay/test_workflow_replay.py"),
        *("tests/unit/test_determinism_static.py", "-k", "goods_inspection or GoodsInspection"),
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "9 passed" in done.stdout


@pytest.mark.parametrize(
    ("name", "subject", "context"),
    [
        ("goodsInspection", "lot", "ims"),
        ("GoodsInspectionWorkflow", "lot", "ims"),
        ("GoodsInspection", "lot_id", "ims"),
        ("GoodsInspection", "lot", "warehouse"),
    ],
)
def test_names_that_would_not_fit_are_refused(name: str, subject: str, context: str) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidInputError):
        NewWorkflow(name, subject, context)


def test_nothing_is_written_over(tree: Path, tmp_path: Path) -> None:
    """A second time, or outside of a source tree, it says so."""
    with pytest.raises(MisuseError, match="is there already"):
        write(NEW, tree)
    with pytest.raises(MisuseError, match="is no source tree"):
        write(NEW, tmp_path)
