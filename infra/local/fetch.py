"""Everything that a first start would fetch or build, ahead of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path

from infra.local.cache import Report
from infra.local.components import Component, StackAddresses, StackOptions
from infra.local.skipping import time_skipping_server
from infra.local.stack import ServerFactory


async def fetch_everything(
    factories: Mapping[Component, ServerFactory], *, given: StackAddresses, tests: bool, report: Report
) -> tuple[Component, ...]:
    """Fetch or build what the servers need that are not ``given``; with ``tests``, the time-skipping server too.

    What is in the cache is left as it is. Returns the servers that are ready to be started. Raises
    :class:`~infra.errors.StackError` for what cannot be had.
    """
    wanted = tuple(component for component in factories if component not in given.components())
    with tempfile.TemporaryDirectory(prefix="tidegate-fetch-") as home:
        servers = [factories[component](Path(home), StackOptions()) for component in wanted]
        await asyncio.gather(*(server.prepare(report) for server in servers))
        if tests:
            await asyncio.to_thread(time_skipping_server, report)
    return wanted
