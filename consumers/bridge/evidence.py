"""What the servers know of one event on one route: the ledger, the parked events, Temporal. Only looking."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg

from consumers.bridge.database import bridge_database
from consumers.bridge.delivery import Existence, Outcome, Reason
from consumers.bridge.temporal import TemporalGateway
from infra.queries import load

_SQL: Final = load(__file__, "evidence.sql")


@dataclass(frozen=True, slots=True)
class PastOutcome:
    """One entry of the ledger."""

    outcome: Outcome
    reason: Reason | None
    origin: str
    at: datetime

    def to_json(self) -> dict[str, str | None]:
        """The entry as JSON values."""
        return {
            "outcome": self.outcome.value,
            "reason": self.reason.value if self.reason else None,
            "origin": self.origin,
            "at": self.at.isoformat(timespec="milliseconds"),
        }


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found; None where nobody could be asked.

    ``ahead`` counts the events that are parked before this one for the same workflow; ``parked_until`` is the deadline
    of this event where it is parked itself.
    """

    outcomes: tuple[PastOutcome, ...] | None = None
    ahead: int | None = None
    parked_until: datetime | None = None
    existence: Existence | None = None

    def to_json(self) -> dict[str, Any]:
        """The evidence as JSON values."""
        return {
            "ledger": None if self.outcomes is None else [each.to_json() for each in self.outcomes],
            "parked_ahead": self.ahead,
            "parked_until": self.parked_until.isoformat(timespec="seconds") if self.parked_until else None,
            "workflow": self.existence.value if self.existence else None,
        }


class Witnesses:
    """Those who can be asked, each of them None where it cannot."""

    def __init__(self, pool: asyncpg.Pool | None = None, temporal: TemporalGateway | None = None) -> None:
        self._pool = pool
        self._temporal = temporal

    async def ask(self, event_id: UUID | None, route: str, workflow_id: str) -> Evidence:
        """Everything that they know; without ``event_id`` nothing of the ledger.

        Raises :class:`~consumers.errors.DownstreamUnavailableError` where the database stops answering.
        """
        ahead: int | None = None
        until: datetime | None = None
        if self._pool is not None:
            with bridge_database():
                (parked,) = await self._pool.fetch(_SQL["parked"], event_id, route, workflow_id)
            ahead, until = parked["ahead"], parked["until"]
        outcomes = await self.outcomes(event_id, route)
        existence = None if self._temporal is None else (await self._temporal.look(workflow_id))[0]
        return Evidence(outcomes, ahead, until, existence)

    async def outcomes(self, event_id: UUID | None, route: str) -> tuple[PastOutcome, ...] | None:
        """What the ledger has of the event on ``route``, or on every route alike, oldest first; None: not asked."""
        if self._pool is None or event_id is None:
            return None
        with bridge_database():
            return tuple(_past(row) for row in await self._pool.fetch(_SQL["outcomes"], event_id, route))


def _past(row: Any) -> PastOutcome:
    reason = Reason(row["reason"]) if row["reason"] else None
    return PastOutcome(Outcome(row["outcome"]), reason, row["origin"], row["at"])
