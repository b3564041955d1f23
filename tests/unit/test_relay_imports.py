"""What a relay loads before it publishes."""

from __future__ import annotations

import json
import subprocess
import sys

LATER = {"aiohttp", "alembic", "confluent_kafka", "httpx", "sqlalchemy", "temporalio", "yaml"}
"""What the first row does not need: 0.6 s of CPU, a third of the start (docs/decisions/0020)."""


def test_a_relay_loads_no_more_than_it_publishes_with() -> None:
    """The command imports neither an ORM nor a web server nor a parser of manifests."""
    code = "import json, sys, tidegate.cli, tidegate.commands.relay; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert LATER & set(json.loads(loaded)) == set()
