"""Rows that remember what was handled, deleted once nothing can come again that they would be asked about.

A record can come again while its topic or its dead letter keeps it: so long the ledger and the analytics' memory must
remember it, and no longer. They are deleted a bounded batch at a time, so that no lock is held and no transaction runs
for long, however much has piled up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import asyncpg
import structlog

from infra.errors import MisuseError
from infra.topics import dlq_of
from infra.topics import load as load_topics

_log = structlog.get_logger()

_AWAY: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_MARGIN: Final = timedelta(days=1)
"""A topic lets go of whole segments, some time after their last record is old enough."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What is forgotten: ``sql`` deletes at most ``$2`` rows older than the interval ``$1`` and returns them."""

    what: str
    sql: str
    after: timedelta
    batch: int = 5_000
    every: float = 3600.0
    """Seconds between two looks."""


def kept_for(days: int | None, topics: Iterable[str], *, setting: str, letters: bool = True) -> timedelta:
    """How long to remember records of ``topics``: ``days``, or as long as the manifest keeps them and a day.

    With ``letters`` their dead letters count too. Raises :class:`MisuseError` for fewer days than that, naming
    ``setting``: what comes again after it was forgotten would have its effect again.
    """
    names = set(topics)
    wanted = names | ({dlq_of(name) for name in names} if letters else set())
    longest = max(
        timedelta(milliseconds=topic.retention_ms) for topic in load_topics() if topic.name in wanted
    )
    least = longest + _MARGIN
    if days is None:
        return least
    if timedelta(days=days) < longest:
        raise MisuseError(
            f"{setting} is {days}, and the topics keep records for {longest.days} days: "
            "what comes again after it was forgotten would have its effect again"
        )
    return timedelta(days=days)


class Forgetter:
    """Forgets, in the background of a process. Several processes may do it at once."""

    def __init__(self, pool: asyncpg.Pool, forgetting: Forgetting) -> None:
        self._pool = pool
        self._forgetting = forgetting

    async def once(self) -> int:
        """Delete all that is old enough, batch by batch; how many rows. Raises what asyncpg raises."""
        one, total = self._forgetting, 0
        while True:
            rows = len(await self._pool.fetch(one.sql, one.after, one.batch))
            total += rows
            if rows < one.batch:
                return total

    async def run(self, stop: asyncio.Event) -> None:
        """Look at once and then regularly, until ``stop`` is set; a database that is away is left to the next look."""
        one = self._forgetting
        while not stop.is_set():
            try:
                if rows := await self.once():
                    _log.info("forgotten", what=one.what, rows=rows, older_than_days=one.after.days)
            except _AWAY as error:
                _log.warning("nothing forgotten", what=one.what, reason=type(error).__name__)
            try:
                async with asyncio.timeout(one.every):
                    await stop.wait()
            except TimeoutError:
                continue
