"""The help of the commands that play the outside world and IMS's door."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from tidegate.cli import build_app

_COMMANDS = (
    ("submit",),
    ("stock", "load"),
    ("stock", "list"),
    ("stock", "discontinue"),
    ("simulate", "storefront"),
    ("simulate", "floor"),
    ("simulate", "carrier"),
    ("simulate", "supplier"),
    ("simulate", "payments"),
    ("simulate", "all"),
)


@pytest.mark.parametrize("words", _COMMANDS)
def test_help_shows_an_example(words: tuple[str, ...]) -> None:
    """Every command's help has an example that begins with the command."""
    shown = CliRunner().invoke(build_app(words), [*words, "--help"])
    assert shown.exit_code == 0
    assert f"Example: tidegate {' '.join(words)}" in shown.stdout
    assert "--json" in shown.stdout
