"""What import-linter cannot say without naming every module."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def imported(source: str) -> list[str]:
    """The modules that a text imports."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def strays(source: str) -> list[str]:
    """What a consumer imports of the workflows beside their contracts."""
    return [
        name
        for name in imported(source)
        if name.startswith("workflows.") and not name.startswith("workflows.contracts")
    ]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "consumers").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_consumers_know_the_workflows_by_their_contracts(path: Path) -> None:
    """A new workflow's module is out of bounds too, without a word in pyproject.toml."""
    assert strays(path.read_text()) == []


@pytest.mark.parametrize("line", ["from workflows.cart import CartWorkflow", "import workflows.worker"])
def test_a_stray_import_is_found(line: str) -> None:
    """The net holds."""
    assert strays(line)
