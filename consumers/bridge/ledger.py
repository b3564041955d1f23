"""The ledger: what became of each event on each route, kept as long as the topics.

Entries are gathered in memory and written in one statement before offsets are committed, so a key never waits
for its entry. A crash loses entries only together with the offsets that would have passed them: the records
come again. Questions of many lanes are put in one query. Source: design §6, "Twice is once".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg

from consumers.bridge.database import bridge_database
from consumers.bridge.delivery import SETTLED, Outcome, Reason
from consumers.errors import DownstreamUnavailableError
from infra.errors import MisuseError
from infra.queries import load

Origin = Literal["live", "parked", "replay", "redrive"]
"""Where a record was read from: its topic by the bridge, the parked table, its topic again, a dead-letter
topic."""

_SQL: Final = load(__file__, "ledger.sql")
FORGET: Final = _SQL["forget"]
"""Deletes old entries, for :class:`consumers.retention.Forgetting`."""
_ASKED: Final = SETTLED | {Outcome.DEAD_LETTERED}


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One row: what became of the record at ``topic[partition]@offset`` on ``route``, and when (UTC)."""

    event_id: UUID
    event_type: str
    topic: str
    partition: int
    offset: int
    key: str | None
    route: str
    workflow_id: str | None
    outcome: Outcome
    reason: Reason | None
    origin: Origin
    at: datetime


def key_text(key: bytes | None) -> str | None:
    """A record's key as the ledger holds it: PostgreSQL's text holds no NUL byte, and a hostile key may."""
    return None if key is None else key.decode("utf-8", "replace").replace("\0", "\ufffd")


class Ledger:
    """Writes and answers for one process. ``limit`` is how many entries may wait for :meth:`flush`
    (entries)."""

    def __init__(self, pool: asyncpg.Pool, *, limit: int = 10_000) -> None:
        self._pool = pool
        self._limit = limit
        self._entries: list[LedgerEntry] = []
        self._outcomes: dict[tuple[UUID, str], set[Outcome]] = {}
        self._flushing = asyncio.Lock()
        self._questions: dict[UUID, asyncio.Future[frozenset[tuple[str, Outcome]]]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def check(self) -> None:
        """Raise :class:`MisuseError` where the tables are not there."""
        with bridge_database():
            if await self._pool.fetchval(_SQL["present"]) is None:
                raise MisuseError("the bridge's tables are not there: run `tidegate migrate`")

    async def write(self, entry: LedgerEntry) -> None:
        """Take ``entry``; it is durable after the next :meth:`flush`. At the limit this flushes first."""
        if len(self._entries) >= self._limit:
            await self.flush()
        self._entries.append(entry)
        self._outcomes.setdefault((entry.event_id, entry.route), set()).add(entry.outcome)

    async def flush(self) -> None:
        """Return once every entry taken before the call is durable.

        Raises :class:`DownstreamUnavailableError` where it cannot; the entries are kept for the next flush.
        """
        # In a task of its own: who is cancelled here, as a committer is when its client is let go, leaves no statement
        # behind of which nobody knows whether it was carried out. The entries would be written twice.
        await asyncio.shield(asyncio.create_task(self._flush(), name="ledger-flush"))

    async def _flush(self) -> None:
        async with self._flushing:
            entries, self._entries = self._entries, []
            if not entries:
                return
            try:
                with bridge_database():
                    await append(self._pool, entries)
            except BaseException:
                self._entries[:0] = entries
                raise
            waiting = {(entry.event_id, entry.route) for entry in self._entries}
            for entry in entries:
                if (entry.event_id, entry.route) not in waiting:
                    self._outcomes.pop((entry.event_id, entry.route), None)

    async def settled(self, event_id: UUID, route: str) -> bool:
        """Whether the event has had all the effect that it will have on ``route`` (``SETTLED``)."""
        return bool(await self.outcomes(event_id, route) & SETTLED)

    async def outcomes(self, event_id: UUID, route: str) -> frozenset[Outcome]:
        """The settled and dead-lettered outcomes of the event on ``route`` so far, written or not yet.

        Raises :class:`DownstreamUnavailableError` where the database does not answer.
        """
        waiting = self._outcomes.get((event_id, route), set())
        if waiting & SETTLED:
            return frozenset(waiting)
        found = await self._ask(event_id)
        return frozenset({outcome for name, outcome in found if name == route} | (waiting & _ASKED))

    def _ask(self, event_id: UUID) -> asyncio.Future[frozenset[tuple[str, Outcome]]]:
        question = self._questions.get(event_id)
        if question is None:
            question = asyncio.get_running_loop().create_future()
            self._questions[event_id] = question
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._answer(), name="ledger-questions")
        # Shielded: one lane that gives up must not take the answer from the others that wait for it.
        return asyncio.shield(question)

    async def _answer(self) -> None:
        while self._questions:
            questions, self._questions = self._questions, {}
            try:
                with bridge_database():
                    rows = await self._pool.fetch(
                        _SQL["known"], list(questions), [each.value for each in _ASKED]
                    )
            except DownstreamUnavailableError as error:
                _refuse(questions.values(), error)
                continue
            except BaseException:
                _refuse(questions.values(), DownstreamUnavailableError("the ledger was closed"))
                raise
            answers: dict[UUID, set[tuple[str, Outcome]]] = {event_id: set() for event_id in questions}
            for row in rows:
                answers[row["event_id"]].add((row["route"], Outcome(row["outcome"])))
            for event_id, question in questions.items():
                if not question.done():
                    question.set_result(frozenset(answers[event_id]))


def _refuse(questions: Iterable[asyncio.Future[frozenset[tuple[str, Outcome]]]], error: Exception) -> None:
    for question in questions:
        if not question.done():
            question.set_exception(error)
            question.exception()  # whoever waits raises it; nobody may wait any more


async def append(connection: Any, entries: Sequence[LedgerEntry]) -> None:
    """Write ``entries`` at once, in order.

    ``connection`` is an asyncpg pool, or a connection in whose transaction they are written.
    """
    await connection.execute(
        _SQL["append"],
        [entry.event_id for entry in entries],
        [entry.event_type for entry in entries],
        [entry.topic for entry in entries],
        [entry.partition for entry in entries],
        [entry.offset for entry in entries],
        [entry.key for entry in entries],
        [entry.route for entry in entries],
        [entry.workflow_id for entry in entries],
        [entry.outcome.value for entry in entries],
        [entry.reason.value if entry.reason else None for entry in entries],
        [entry.origin for entry in entries],
        [entry.at for entry in entries],
    )
