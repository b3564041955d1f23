"""Do the analytics tables say what the services' tables say? To the cent, and to the microsecond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import asyncpg

from infra import queries
from infra.clients.postgres import open_connection
from infra.settings import Settings

_SQL: Final = queries.load(__file__, "analytics.sql")
_COMPARISONS: Final = (
    "order_differences",
    "rejection_differences",
    "revenue_differences",
    "payment_differences",
)

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact about ``subject`` (an order id, or a day and currency) that the two sides tell differently."""

    subject: str
    name: str
    oms: str | None
    analytics: str | None

    def __str__(self) -> str:
        return f"{self.subject}: {self.name} is {self.oms} in the services and {self.analytics} in analytics"


async def compare(connection: Connection) -> tuple[Difference, ...]:
    """Every difference between ``oms`` and ``analytics`` in one snapshot of the database; empty when all adds up."""
    found: list[Difference] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name in _COMPARISONS:
            found += [Difference(**row) for row in await connection.fetch(_SQL[name])]
    return tuple(found)


async def differences(settings: Settings) -> tuple[str, ...]:
    """The differences as sentences, for the audit of a run."""
    async with open_connection(settings.postgres) as connection:
        return tuple(str(difference) for difference in await compare(connection))
