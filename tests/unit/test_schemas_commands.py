"""Claims about ``tidegate schemas`` and ``tidegate topics``, run as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def tidegate(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a home of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tidegate", *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "TIDEGATE_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), **environment},
    )


def printed(done: subprocess.CompletedProcess[str]) -> Any:
    """What was printed as one line of JSON."""
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def test_catalog_and_topics_are_listed(tmp_path: Path) -> None:
    """Both lists have a row an entry, for programs and for people."""
    events = printed(tidegate(tmp_path, "schemas", "list", "--json"))["events"]
    assert {"event": "PickCompleted", "topic": "wms.warehouse", "key": "order_id", "version": 1}.items() <= {
        **next(row for row in events if row["event"] == "PickCompleted")
    }.items()
    topics = printed(tidegate(tmp_path, "topics", "list", "--json"))["topics"]
    assert "oms.orders.dlq" in {row["topic"] for row in topics}
    assert "oms.orders" in tidegate(tmp_path, "topics", "list").stdout


def test_one_schema_is_shown(tmp_path: Path) -> None:
    """The schema as it is in the file; an earlier version when asked."""
    shown = tidegate(tmp_path, "schemas", "show", "PickCompleted")
    assert json.loads(shown.stdout)["name"] == "PickCompleted"
    assert printed(tidegate(tmp_path, "schemas", "show", "PickCompleted", "--version", "1", "--json"))[
        "versions"
    ] == [1]


def test_check_says_that_all_is_well(tmp_path: Path) -> None:
    """A clean catalog ends with status 0."""
    done = printed(tidegate(tmp_path, "schemas", "check", "--json"))
    assert done["problems"] == []
    assert done["events"] >= 27


@pytest.mark.parametrize(
    ("words", "environment", "status", "says"),
    [
        (["schemas", "show", "Nope"], {}, 2, "no event 'Nope' in the catalog"),
        (["schemas", "show", "PickCompleted", "--version", "9"], {}, 2, "has no version 9"),
        (["schemas", "register"], {}, 2, "no schema registry address"),
        (
            ["schemas", "register"],
            {"TIDEGATE_REGISTRY__URL": "http://someone:secret@127.0.0.1:1/api"},
            1,
            "the schema registry at http://127.0.0.1:1/api does not answer",
        ),
        (["topics", "apply"], {}, 2, "no Kafka address"),
        (
            ["topics", "apply"],
            {"TIDEGATE_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"},
            1,
            "Kafka at 127.0.0.1:1",
        ),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, words: list[str], environment: dict[str, str], status: int, says: str
) -> None:
    """Misuse ends with 2, failure with 1; one line on standard error, no traceback, no password."""
    done = tidegate(tmp_path, *words, **environment)
    assert done.returncode == status
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"tidegate: {says}") or says in done.stderr
    assert "secret" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    ["schemas list", "schemas show", "schemas check", "schemas register", "topics list", "topics apply"],
)
def test_help_has_an_example(tmp_path: Path, words: str) -> None:
    """Each command's help shows how it is called."""
    assert f"Example: tidegate {words}" in tidegate(tmp_path, *words.split(), "--help").stdout
