"""The ``tidegate`` command as a user starts it, on fresh databases of the shared servers."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.local import Component, Stack
from infra.settings import Settings
from tests.forked import ForkedProcess, fork_tidegate
from tests.template_databases import migrate_empty
from tidegate.bootstrap import MAIN_ROOMS, UPSTREAM_ROOMS, prepare


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The JSON object that it printed."""
        return json.loads(self.out)


class Workplace:
    """Servers and a run directory for commands."""

    def __init__(self, environment: Mapping[str, str], settings: Settings) -> None:
        self.environment = dict(environment)
        self.settings = settings

    async def tidegate(self, *words: object, stdin: bytes = b"") -> Ended:
        """Run ``tidegate`` with ``words`` to its end."""
        process = await self.start(*words)
        out, err = await asyncio.wait_for(process.communicate(stdin), 120)
        return Ended(process.returncode or 0, out.decode(), err.decode())

    async def start(self, *words: object) -> ForkedProcess:
        """Start ``tidegate`` with ``words``."""
        return await fork_tidegate(*words, environment={**os.environ, **self.environment})


@asynccontextmanager
async def workplace(stack: Stack, home: Path, dsn: str, upstream_dsn: str) -> AsyncIterator[Workplace]:
    """A workplace on the servers of ``stack``: the two empty databases migrated, topics applied.

    The registry of ``stack`` has the schemas already, and the cache its ids.
    """
    environment = {
        **stack.environment(),
        "TIDEGATE_REGISTRY__PREFER_CACHE": "true",
        "TIDEGATE_HOME": str(home),
        "TIDEGATE_POSTGRES__DSN": dsn,
        "TIDEGATE_POSTGRES__UPSTREAM_DSN": upstream_dsn,
        "NO_COLOR": "1",
    }
    addresses = stack.addresses
    settings = Settings.model_validate(
        {
            "home": home,
            "postgres": {"dsn": dsn, "upstream_dsn": upstream_dsn},
            "kafka": {"bootstrap_servers": addresses.bootstrap_servers},
            "registry": {"url": addresses.registry_url, "prefer_cache": True},
            "temporal": {"address": addresses.temporal_address},
        }
    )
    await asyncio.gather(
        migrate_empty(dsn, MAIN_ROOMS),
        migrate_empty(upstream_dsn, UPSTREAM_ROOMS),
        prepare(settings, {Component.KAFKA}),
    )
    yield Workplace(environment, settings)
