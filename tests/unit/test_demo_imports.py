"""What a demo loads before it starts servers."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from infra.errors import MisuseError
from infra.settings import Settings
from tidegate import demo
from tidegate.demo_options import DemoOptions

LATER = {"aiokafka", "alembic", "asyncpg", "confluent_kafka", "httpx", "jgo", "sqlalchemy", "temporalio"}
"""Clients of servers, and what fetches servers: two seconds of CPU, which is a tenth of what a first order takes."""


def test_a_demo_starts_servers_before_it_loads_their_clients() -> None:
    """The command and the module that starts servers import no client: those are loaded while servers start."""
    code = "import json, sys, tidegate.commands.demo, tidegate.demo; print(json.dumps(sorted(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert LATER & set(json.loads(loaded)) == set()


async def test_a_demo_loads_its_run_as_the_probes_of_servers_load_their_clients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By :func:`infra.loading.load`: a thread beside it would meet the probes in a circle of modules."""
    loaded: list[str] = []

    async def load(*names: str) -> None:
        loaded.extend(names)

    @asynccontextmanager
    async def servers(settings: Settings, *_: object, **__: object) -> AsyncIterator[Settings]:
        if not loaded:
            await asyncio.sleep(0)
        if loaded:
            raise MisuseError("enough")
        yield settings

    monkeypatch.setattr(demo, "load", load)
    monkeypatch.setattr(demo, "warm_up", lambda: None)
    monkeypatch.setattr(demo, "_servers", servers)
    with pytest.raises(MisuseError, match="enough"):
        await demo.run_demo(Settings(), DemoOptions())
    assert loaded == ["tidegate.demo_run"]
