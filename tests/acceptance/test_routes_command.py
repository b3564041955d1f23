"""`tidegate routes` as a person meets it: without any server, and with one line for what cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.forked import fork_tidegate

PICK = {"type": "PickCompleted", "order_id": "o-1", "picked_at": "2026-11-01T00:00:00Z"}


async def routes(home: Path, *words: str) -> tuple[int, str, str]:
    """Run the command where no server is known: status, standard output, standard error."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    process = await fork_tidegate("routes", *words, environment={**kept, "TIDEGATE_HOME": str(home)})
    output, errors = await process.communicate()
    return process.returncode or 0, output.decode(), errors.decode()


async def test_an_event_in_a_file_is_explained_without_a_server(tmp_path: Path) -> None:
    """For a person and for a program: the route, the workflow id, what would happen, and who was not asked."""
    file = tmp_path / "event.json"
    file.write_text(json.dumps(PICK))
    status, output, errors = await routes(tmp_path, "--explain", str(file))
    assert status == 0
    assert "order-fulfillment-o-1 (order_id=o-1)" in output
    assert "would      signal: if the workflow runs" in output
    assert "not asked: no PostgreSQL address" in errors
    assert "not asked: no Temporal address" in errors
    status, output, _ = await routes(tmp_path, "--explain", str(file), "--json")
    found = json.loads(output)
    assert (status, found["routes"][0]["would"], len(found["not_asked"])) == (0, "signal", 2)


async def test_the_routes_of_one_event_are_listed(tmp_path: Path) -> None:
    """By the last part of its name, or by all of it."""
    status, output, _ = await routes(tmp_path, "tidegate.wms.warehouse.PickCompleted", "--json")
    assert (status, [route["target"] for route in json.loads(output)["routes"]]) == (0, ["PickCompleted"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--explain", "nowhere"), "neither a file nor a place TOPIC:PARTITION:OFFSET"),
        (("--explain", "wms.warehouse:0:0"), "TIDEGATE_KAFKA__BOOTSTRAP_SERVERS"),
        (("PickComplete",), "no route is for PickComplete"),
        (("PickCompleted", "--explain", "x"), "--explain says of what event"),
    ],
)
async def test_what_cannot_be_is_said_in_one_line(tmp_path: Path, words: tuple[str, ...], line: str) -> None:
    """Status 2 and one line on standard error, without a traceback."""
    status, output, errors = await routes(tmp_path, *words)
    assert (status, output, errors.count("\n")) == (2, "", 1)
    assert line in errors
