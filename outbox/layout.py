"""Over how many partitions the keys of each topic are spread, and that this does not change by itself.

A key's partition is its hash modulo a number. When a topic gets more partitions and that number follows, a row goes
to another partition than the one before it, and whoever reads both at once may meet them in the wrong order. So the
number is noted when the first row is published to a topic, in the database whose rows they are, and stays:
partitions that were added lie idle until `tidegate outbox accept-partitions` says that all that was published is
consumed. See docs/decisions/0019.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import structlog

from infra.errors import MisuseError
from infra.queries import load
from outbox.errors import PublisherBrokenError, RelayRefusedError

_SQL = load(__file__, "layout.sql")
_log = structlog.get_logger()


class Layout:
    """The partitions that rows are spread over, by topic: what was noted, and what one session adds to it."""

    def __init__(self, noted: Mapping[str, int] | None = None) -> None:
        self._noted = dict(noted or {})
        self._met: dict[str, int] = {}
        self._told: set[tuple[str, int]] = set()

    async def load(self, connection: asyncpg.Connection[Any]) -> None:
        """Take over what the database has noted."""
        self._noted = {row["topic"]: row["partitions"] for row in await connection.fetch(_SQL["load"])}

    def spread(self, topic: str, found: int) -> int:
        """Over how many of the ``found`` partitions of ``topic`` keys are spread: what was noted, or all of a new
        topic.

        Raises :class:`RelayRefusedError` when the topic has fewer than were noted: it was made anew.
        """
        noted = self._noted.get(topic)
        if noted is None:
            return self._met.setdefault(topic, found)
        if found < noted:
            raise RelayRefusedError(
                f"topic {topic} has {found} partitions and had {noted}: it was made anew. Once its consumers begin"
                f" anew too, run `tidegate outbox accept-partitions {topic}` and start the relay again"
            )
        if found > noted and (topic, found) not in self._told:
            self._told.add((topic, found))
            _log.warning(
                "partitions were added and lie idle, so that each key keeps its order",
                topic=topic,
                partitions=found,
                used=noted,
                to_use_them=f"stop the relays, let consumers finish, `tidegate outbox accept-partitions {topic}`",
            )
        return noted

    async def note(self, connection: asyncpg.Connection[Any]) -> None:
        """Write down the topics that are new. Called before anything is sent to them.

        Raises :class:`PublisherBrokenError` when another relay noted another number at the same time: what was
        prepared with ours must not be sent.
        """
        if not self._met:
            return
        met, self._met = self._met, {}
        await connection.execute(_SQL["note"], list(met), list(met.values()))
        await self.load(connection)
        for topic, partitions in met.items():
            if self._noted[topic] != partitions:
                raise PublisherBrokenError(
                    f"another relay has noted {self._noted[topic]} partitions for {topic} just now, not {partitions}"
                )


async def accept(
    connection: asyncpg.Connection[Any], found: Mapping[str, int]
) -> Sequence[tuple[str, int, int]]:
    """Spread the keys of the topics in ``found`` over that many partitions from now on; what changed: topic, before,
    after.

    Raises :class:`MisuseError` while a relay publishes, for it would go on with the number before.
    """
    async with connection.transaction():
        owners = [row["owner"] for row in await connection.fetch(_SQL["owners"]) if row["alive"]]
        if owners:
            raise MisuseError(f"a relay publishes ({owners[0]}): stop every relay of this database first")
        await connection.execute(_SQL["fence"])
        changed = await connection.fetch(_SQL["accept"], list(found), list(found.values()))
    return [(row["topic"], row["was"], row["partitions"]) for row in changed]
