"""Who relays which groups: a lease for progress, an epoch for safety, and an equal share for each relay.

The lease keeps two relays from doing the work twice. It cannot keep apart a relay that froze and woke up: that one
finds its epoch outdated when it stores its cursor, and stores nothing.

Shares need no agreement: each relay notes that it lives, counts those that do, and knows its place among them by age.
So of eight groups and three relays the two oldest want three and the youngest two; who has more gives back, who has
less takes what is free, and a group changes hands only where the shares changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import asyncpg

from infra.queries import load
from outbox.options import Profile
from outbox.shards import GROUPS

_SQL = load(__file__, "lease.sql")


def share_of(place: int, relays: int) -> int:
    """How many groups the relay at ``place`` (0 is the oldest) of ``relays`` ought to own; together they own all."""
    least, more = divmod(GROUPS, max(relays, 1))
    return least + (place < more)


class Leases:
    """The groups that one relay owns in one database, and since which epoch."""

    def __init__(
        self,
        connection: asyncpg.Connection[Any],
        owner: str,
        seconds: float,
        profile: Profile = Profile.IDEMPOTENT,
    ) -> None:
        self._connection = connection
        self._owner = owner
        self._seconds = seconds
        self._profile = profile
        self._clock = asyncio.get_running_loop().time
        self._one_change = asyncio.Lock()
        self._until = 0.0
        self._renewed = asyncio.Event()
        self.epochs: dict[int, int] = {}
        self.surplus: frozenset[int] = frozenset()
        """Groups that are more than our share: to be given back once their cursor is stored."""

    async def renew(self) -> dict[int, int]:
        """Say that we live, keep what is ours, take what is free up to our share; the groups and their epochs from now
        on."""
        async with self._one_change:
            began = self._clock()
            noted = await self._connection.fetchrow(
                _SQL["live"], self._owner, self._seconds, self._profile.value
            )
            place, relays = noted or (0, 1)
            share = share_of(place, relays)
            kept = await self._connection.fetch(_SQL["renew"], self._owner, self._seconds)
            missing = max(0, share - len(kept))
            taken = await self._connection.fetch(_SQL["acquire"], self._owner, self._seconds, missing)
            self.epochs = {row["shard_group"]: row["epoch"] for row in [*kept, *taken]}
            self.surplus = frozenset(sorted(self.epochs)[share:])
            self._until = began + self._seconds
            self._renewed.set()
        return self.epochs

    async def held(self) -> None:
        """Wait for leases that hold now."""
        while self._clock() >= self._until:
            self._renewed.clear()
            await self._renewed.wait()

    async def give_back(self, groups: Iterable[int], connection: asyncpg.Connection[Any]) -> None:
        """Own ``groups`` no more, so that another relay may take them; through ``connection``."""
        given = sorted(groups)
        async with self._one_change:
            await connection.execute(_SQL["give_back"], self._owner, given)
            self.epochs = {group: epoch for group, epoch in self.epochs.items() if group not in given}
            self.surplus -= set(given)

    async def release(self) -> None:
        """Own nothing any more, and be counted no more."""
        await self._connection.execute(_SQL["give_back"], self._owner, list(range(GROUPS)))
        await self._connection.execute(_SQL["leave"], self._owner)
        self.epochs = {}
