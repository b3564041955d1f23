"""The cost watch: how much of what costs money there is in a window, against its budget.

Source: 000, "Cost alerts on workflow count & event volume".
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from outbox import Outbox
from schemas.events import CostAlert
from services.reconciliation import scanning
from services.reconciliation.tables import cost_alerts, event_counts

SOURCE = "/services/reconciliation"


@dataclass(frozen=True, slots=True)
class Budgets:
    """How many workflows may be started, and how many events published, in a window of ``window``."""

    workflows: int
    events: int
    window: timedelta

    def window_start(self, now: datetime) -> datetime:
        """When the window that ``now`` lies in began; windows follow each other from 1970 on, in UTC."""
        seconds = int(self.window.total_seconds())
        return datetime.fromtimestamp(int(now.timestamp()) // seconds * seconds, UTC)


@dataclass(frozen=True, slots=True)
class Spent:
    """How much of ``measure`` there was in a window so far."""

    measure: str
    value: int
    budget: int
    alerted: bool = False


class CostWatch:
    """Counts events, and publishes CostAlert once for each measure and window."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox, budgets: Budgets) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self.budgets = budgets

    async def events_since(self, start: datetime, now: datetime) -> int:
        """How many events were appended since ``start``, by the numbers of the outbox; notes where it is ``now``.

        Counted from the last look at or before ``start``, else from the first one after it. Numbers that a
        rolled-back transaction drew count too: it errs towards the alert, and costs one row of an index.
        """
        async with self._sessions.begin() as session:
            newest = await scanning.newest_event(session)
            await session.execute(upsert(event_counts).values(at=now, newest=newest).on_conflict_do_nothing())
            await session.execute(
                delete(event_counts).where(event_counts.c.at < start - 2 * self.budgets.window)
            )
            before = (
                select(event_counts.c.newest)
                .where(event_counts.c.at <= start)
                .order_by(event_counts.c.at.desc())
                .limit(1)
            )
            first = select(event_counts.c.newest).order_by(event_counts.c.at).limit(1)
            base = (await session.execute(before)).scalar_one_or_none()
            if base is None:
                base = (await session.execute(first)).scalar_one()
        return max(0, newest - int(base))

    async def judge(self, measure: str, value: int, start: datetime, now: datetime) -> Spent:
        """Hold ``value`` against the budget of ``measure`` (``workflows`` or ``events``); alert where it is over."""
        budget = self.budgets.workflows if measure == "workflows" else self.budgets.events
        if value <= budget:
            return Spent(measure, value, budget)
        row = (
            upsert(cost_alerts)
            .values(measure=measure, window_start=start, value=value, budget=budget, found_at=now)
            .on_conflict_do_nothing()
            .returning(cost_alerts.c.measure)
        )
        async with self._sessions.begin() as session:
            if (await session.execute(row)).scalar_one_or_none() is None:
                return Spent(measure, value, budget)
            await self._outbox.append(
                session,
                CostAlert(
                    subject=measure,
                    measure=measure,
                    value=value,
                    budget=budget,
                    window_seconds=int(self.budgets.window.total_seconds()),
                    found_at=now,
                ),
                source=SOURCE,
                version=1,
                subject=f"{measure}/{start.isoformat()}",
            )
        return Spent(measure, value, budget, alerted=True)
