"""What a demo loads before it starts servers."""

from __future__ import annotations

import json
import subprocess
import sys

LATER = {"aiokafka", "alembic", "asyncpg", "confluent_kafka", "httpx", "jgo", "sqlalchemy", "temporalio"}
"""Clients of servers, and what fetches servers: two seconds of CPU, which is a tenth of what a first order takes."""


def test_a_demo_starts_servers_before_it_loads_their_clients() -> None:
    """The command and the module that starts servers import no client: those are loaded while servers start."""
    code = "import json, sys, tidegate.commands.demo, tidegate.demo; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert LATER & set(json.loads(loaded)) == set()
