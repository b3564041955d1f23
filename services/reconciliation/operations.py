"""What reconciliation remembers: what it resumed, whom it told, how far it has looked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from outbox import Outbox
from schemas.events import ReconciliationAlert
from services.publishing import utc_now
from services.reconciliation import scanning
from services.reconciliation.kinds import Kind
from services.reconciliation.scanning import Candidate, Place, StoredEvent
from services.reconciliation.tables import alerts, positions, resumptions

SOURCE = "/services/reconciliation"


@dataclass(frozen=True, slots=True)
class Figures:
    """What was reconciled of one kind: how often it was resumed or alerted, and for how long it had stood.

    ``mean_seconds`` is from the moment it became so to the moment it was resumed; ``None`` where nothing was.
    """

    kind: Kind
    resumed: int
    alerted: int
    mean_seconds: float | None
    longest_seconds: float | None


class Reconciliation:
    """The memory of reconciliation on the database behind ``sessions``, and its view of everybody else's tables."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._outbox = outbox

    # Looking.

    async def find(
        self, kind: Kind, *, after: str = "", limit: int = 100, grace: timedelta | None = None
    ) -> list[Candidate]:
        """At most ``limit`` candidates of ``kind`` after the subject ``after``, older than the kind's grace."""
        async with self._sessions() as session:
            return await scanning.find(session, kind, after=after, limit=limit, grace=grace)

    async def still_so(self, candidate: Candidate, *, grace: timedelta | None = None) -> bool:
        """Whether a candidate is one now, since the same moment.

        To be asked after Temporal was: a workflow writes the end of its entity before it closes, so what was read
        before the look may be older than what the look has seen.
        """
        async with self._sessions() as session:
            found = await scanning.find(session, candidate.kind, only=candidate.subject, grace=grace)
        return any(one.since == candidate.since for one in found)

    async def stored_event(self, type_: str, key: str, since: datetime) -> StoredEvent | None:
        """The newest event of ``type_`` about ``key`` that the topic holds, where this database published it."""
        async with self._sessions() as session:
            return await scanning.stored_event(session, type_, key, since)

    async def deliveries(self, workflow_id: str) -> list[Place]:
        """Where the records are that ``workflow_id`` was told of by signal, in that order."""
        async with self._sessions() as session:
            return await scanning.deliveries(session, workflow_id)

    # Remembering.

    async def resumed_at(self, candidate: Candidate) -> datetime | None:
        """When this partial state, since it began, was resumed; ``None`` where it was not."""
        query = select(resumptions.c.done_at).where(
            resumptions.c.kind == candidate.kind,
            resumptions.c.subject == candidate.subject,
            resumptions.c.since == candidate.since,
        )
        async with self._sessions() as session:
            found: datetime | None = (await session.execute(query)).scalar_one_or_none()
        return found

    async def record(self, kind: Kind, subject: str, since: datetime, action: str) -> None:
        """Remember that the partial state was resumed by ``action``; the first time counts."""
        row = upsert(resumptions).values(
            kind=kind, subject=subject, since=since, action=action, done_at=utc_now()
        )
        async with self._sessions.begin() as session:
            await session.execute(row.on_conflict_do_nothing())

    async def alert(self, candidate: Candidate, detail: str) -> bool:
        """Publish ReconciliationAlert, once for each kind and subject; False where it had been."""
        now = utc_now()
        row = (
            upsert(alerts)
            .values(
                kind=candidate.kind,
                subject=candidate.subject,
                since=candidate.since,
                detail=detail,
                found_at=now,
            )
            .on_conflict_do_nothing()
            .returning(alerts.c.subject)
        )
        async with self._sessions.begin() as session:
            if (await session.execute(row)).scalar_one_or_none() is None:
                return False
            await self._outbox.append(
                session,
                ReconciliationAlert(
                    subject=candidate.subject, kind=candidate.kind.value, detail=detail, found_at=now
                ),
                source=SOURCE,
                version=1,
                subject=f"{candidate.kind.value}/{candidate.subject}",
                correlation_id=candidate.subject,
            )
        return True

    async def alerted(self, candidate: Candidate) -> bool:
        """Whether people were told of this subject and kind."""
        query = select(alerts.c.subject).where(
            alerts.c.kind == candidate.kind, alerts.c.subject == candidate.subject
        )
        async with self._sessions() as session:
            return (await session.execute(query)).scalar_one_or_none() is not None

    async def position(self, kind: Kind) -> str:
        """The subject after which to look; empty at the beginning."""
        query = select(positions.c.after).where(positions.c.kind == kind)
        async with self._sessions() as session:
            return (await session.execute(query)).scalar_one_or_none() or ""

    async def move(self, kind: Kind, after: str) -> None:
        """Remember that everything of ``kind`` up to ``after`` was looked at; empty: begin anew."""
        async with self._sessions.begin() as session:
            if not after:
                await session.execute(delete(positions).where(positions.c.kind == kind))
                return
            row = upsert(positions).values(kind=kind, after=after)
            await session.execute(
                row.on_conflict_do_update(index_elements=[positions.c.kind], set_={"after": after})
            )

    async def figures(self) -> list[Figures]:
        """What was reconciled so far, by kind. Source: 000, "Mean reconciliation <5m"."""
        stood = func.extract("epoch", resumptions.c.done_at - resumptions.c.since)
        resumed = select(resumptions.c.kind, func.count(), func.avg(stood), func.max(stood)).group_by(
            resumptions.c.kind
        )
        told = select(alerts.c.kind, func.count()).group_by(alerts.c.kind)
        async with self._sessions() as session:
            by_kind = {
                kind: (count, mean, most) for kind, count, mean, most in await session.execute(resumed)
            }
            alerted = {kind: count for kind, count in await session.execute(told)}  # noqa: C416
        nothing = (0, None, None)
        return [
            Figures(
                kind,
                by_kind.get(kind, nothing)[0],
                alerted.get(kind, 0),
                _seconds(by_kind.get(kind, nothing)[1]),
                _seconds(by_kind.get(kind, nothing)[2]),
            )
            for kind in Kind
        ]


def _seconds(value: object) -> float | None:
    return None if value is None else round(float(str(value)), 1)
