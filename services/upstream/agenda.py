"""What a role means to do, in its own database: noted once, reported once, whatever dies in between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from sqlalchemy import RowMapping, bindparam, func, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.tracing import spanned, tracer
from outbox import Append, Outbox
from services.publishing import utc_now
from services.upstream.role import Intent, Occurrence, Role, Task
from services.upstream.tables import reports, tasks

_MOST_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Noticed:
    """What an event made a role intend, with the flow of the order and the id of that event."""

    intents: Sequence[Intent]
    flow: str
    causation_id: str | None


Said: TypeAlias = dict[tuple[str, str], tuple[int | None, datetime]]
"""By order and kind: version (none where it was called off) and time of the first report of a fact."""


class Agenda:
    """The tasks of ``role`` in the database behind ``sessions``, reported through ``outbox``."""

    def __init__(self, role: Role, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._role = role
        self._sessions = sessions
        self._outbox = outbox

    async def note(self, noticed: Sequence[Noticed]) -> None:
        """Note what events made the role intend, in one transaction. What is noted already stays as it is.

        So the same events can be noted again, after a crash between this and the commit of their offsets.
        """
        now = utc_now()
        rows = [
            {
                "role": self._role.name,
                "order_id": intent.order_id,
                "kind": intent.kind,
                "occurrence": intent.occurrence,
                "reference": intent.reference,
                "flow": one.flow,
                "causation_id": one.causation_id,
                "due_at": now + intent.after,
            }
            for one in noticed
            for intent in one.intents
            if isinstance(intent, Task)
        ]
        off = [intent.order_id for one in noticed for intent in one.intents if not isinstance(intent, Task)]
        async with self._sessions.begin() as session:
            if rows:
                await session.execute(upsert(tasks).on_conflict_do_nothing(), rows)
            if off:
                await session.execute(
                    update(tasks)
                    .where(
                        tasks.c.role == self._role.name, tasks.c.order_id.in_(off), tasks.c.done_at.is_(None)
                    )
                    .values(done_at=now)
                )

    async def report_due(self) -> int:
        """Report at most 500 tasks that are due, in the order in which they are; how many were dealt with.

        The reports and the end of their tasks are one transaction. A repeat waits for its first report, says
        exactly what that said, and ends in silence where that was called off.
        """
        async with self._sessions.begin() as session:
            now = utc_now()
            due = await self._due(session, now)
            said = await self._said(session, due)
            arranged = arrange(due, said)
            counts = Counter(
                task["order_id"]
                for task, speaks in arranged
                if speaks and task["occurrence"] != Occurrence.AGAIN
            )
            number = await self._take_numbers(session, counts)
            appends, ends = [], []
            for task, speaks in arranged:
                order_id, key = task["order_id"], (task["order_id"], task["kind"])
                sequence = None
                if speaks:
                    sequence, at = said.get(key, (None, now))
                    if task["occurrence"] != Occurrence.AGAIN:
                        sequence = number[order_id] = number[order_id] + 1
                    if task["occurrence"] == Occurrence.FIRST:
                        said[key] = (sequence, now)
                    appends.append(self._append(task, sequence, at))
                ends.append({"task_id": task["id"], "new_sequence": sequence, "new_done_at": now})
            with spanned(tracer("tidegate.upstream"), f"report as {self._role.name}"):
                await self._outbox.append_all(session, appends)
            if ends:
                await (await session.connection()).execute(_END, ends)
            return len(ends)

    async def next_due(self) -> datetime | None:
        """When the next task is due, or ``None`` where there is none."""
        query = select(func.min(tasks.c.due_at)).where(
            tasks.c.role == self._role.name, tasks.c.done_at.is_(None)
        )
        async with self._sessions() as session:
            due: datetime | None = (await session.execute(query)).scalar_one_or_none()
        return due

    async def open(self) -> int:
        """How many tasks are still to be reported."""
        query = (
            select(func.count())
            .select_from(tasks)
            .where(tasks.c.role == self._role.name, tasks.c.done_at.is_(None))
        )
        async with self._sessions() as session:
            return (await session.execute(query)).scalar_one()

    async def _due(self, session: AsyncSession, now: datetime) -> Sequence[RowMapping]:
        query = (
            select(tasks)
            .where(tasks.c.role == self._role.name, tasks.c.done_at.is_(None), tasks.c.due_at <= now)
            .order_by(tasks.c.due_at, tasks.c.id)
            .limit(_MOST_AT_ONCE)
            .with_for_update(skip_locked=True)
        )
        return (await session.execute(query)).mappings().all()

    async def _said(self, session: AsyncSession, due: Sequence[RowMapping]) -> Said:
        """The first reports that were made, or called off, of the facts that ``due`` repeats."""
        repeats = {task["order_id"] for task in due if task["occurrence"] != Occurrence.FIRST}
        if not repeats:
            return {}
        query = select(tasks.c.order_id, tasks.c.kind, tasks.c.sequence, tasks.c.done_at).where(
            tasks.c.role == self._role.name,
            tasks.c.order_id.in_(repeats),
            tasks.c.occurrence == Occurrence.FIRST,
            tasks.c.done_at.is_not(None),
        )
        rows = (await session.execute(query)).mappings()
        return {(row["order_id"], row["kind"]): (row["sequence"], row["done_at"]) for row in rows}

    async def _take_numbers(self, session: AsyncSession, counts: Mapping[str, int]) -> dict[str, int]:
        """Take so many next versions of each order; the versions before them. Locks the orders, by id."""
        if not counts:
            return {}
        new = upsert(reports).values(
            [
                {"role": self._role.name, "order_id": order_id, "version": counts[order_id]}
                for order_id in sorted(counts)
            ]
        )
        taken = new.on_conflict_do_update(
            index_elements=[reports.c.role, reports.c.order_id],
            set_={"version": reports.c.version + new.excluded.version},
        ).returning(reports.c.order_id, reports.c.version)
        return {order_id: version - counts[order_id] for order_id, version in await session.execute(taken)}

    def _append(self, task: RowMapping, sequence: int | None, at: datetime) -> Append:
        order_id = task["order_id"]
        return Append(
            event=self._role.report(task["kind"], order_id, task["reference"], at),
            source=self._role.source,
            version=sequence,
            subject=order_id,
            correlation_id=order_id,
            causation_id=task["causation_id"],
            extensions={"flow": task["flow"]},
            time=at,
        )


def arrange(due: Sequence[RowMapping], said: Said) -> list[tuple[RowMapping, bool]]:
    """Which of the tasks that are ``due`` to deal with now, in their order, and whether each is reported.

    A repeat whose first report is neither made nor part of this round is left for later; one whose first
    report was called off is dealt with, but not reported.
    """
    speaks = {key: sequence is not None for key, (sequence, _) in said.items()}
    arranged = []
    for task in due:
        key = (task["order_id"], task["kind"])
        if task["occurrence"] == Occurrence.FIRST:
            speaks[key] = True
        if key in speaks:
            arranged.append((task, speaks[key]))
    return arranged


_END = (
    update(tasks)
    .where(tasks.c.id == bindparam("task_id"))
    .values(sequence=bindparam("new_sequence"), done_at=bindparam("new_done_at"))
)
