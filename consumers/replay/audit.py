"""The audit trail of what people do to events, in PostgreSQL."""

from __future__ import annotations

import asyncio
import getpass
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import asyncpg

from consumers.replay.place import Place
from infra import queries
from infra.errors import MisuseError

_SQL: Final = queries.load(__file__, "audit.sql")

Command = Literal["replay", "redrive", "edit", "discard", "release", "drop", "extend"]
Status = Literal["finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What was done so far: records handed to the bridge, and what came of them."""

    records: int
    outcomes: Mapping[str, int]
    reached: Mapping[str, int] = field(default_factory=dict)
    """The furthest offset of each ``topic:partition``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What was asked for, by whom."""

    command: Command
    topic: str
    selection: Mapping[str, Any]
    actor: str
    rate: float | None = None
    """Records a second at most; ``None`` is as fast as it goes."""


class AuditedRun:
    """A run that has its row. ``tally`` is what was done so far."""

    def __init__(self, trail: AuditTrail, run_id: UUID) -> None:
        self._trail = trail
        self.id = run_id
        self.tally = Tally(0, {})

    async def note(self, tally: Tally) -> None:
        """Write how far the run is."""
        self.tally = tally
        await self._trail.note(self.id, tally)


class AuditTrail:
    """Writes ``replay.runs`` and ``replay.redriven``; raises what asyncpg raises."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def check(self) -> None:
        """Raise :class:`MisuseError` where the tables are not there."""
        if await self._pool.fetchval(_SQL["present"]) is None:
            raise MisuseError("the tables of replay are not there: run `tidegate migrate`")

    async def begin(self, command: Command, topic: str, selection: Mapping[str, Any], *, actor: str) -> UUID:
        """Write that ``actor`` starts ``command`` on ``topic``; the id of the run."""
        run_id = uuid4()
        await self._pool.execute(_SQL["begin_run"], run_id, command, actor, topic, json.dumps(selection))
        return run_id

    async def note(self, run_id: UUID, tally: Tally) -> None:
        """Write how far the run is."""
        await self._pool.execute(_SQL["note_progress"], run_id, *_columns(tally))

    async def end(self, run_id: UUID, tally: Tally, status: Status, error: str | None = None) -> None:
        """Write how the run ended."""
        await self._pool.execute(_SQL["end_run"], run_id, *_columns(tally), status, error)

    @asynccontextmanager
    async def run(self, request: RunRequest, stop: asyncio.Event) -> AsyncIterator[AuditedRun]:
        """A run whose row is there before anything is done, and says how it ended: ``finished``, ``stopped`` where
        ``stop`` is set or the task was cancelled, ``failed`` where the block raised."""
        run_id = await self.begin(request.command, request.topic, request.selection, actor=request.actor)
        run = AuditedRun(self, run_id)
        try:
            yield run
        except BaseException as error:
            status: Status = "stopped" if isinstance(error, asyncio.CancelledError) else "failed"
            await asyncio.shield(self.end(run_id, run.tally, status, str(error) or repr(error)))
            raise
        await self.end(run_id, run.tally, "stopped" if stop.is_set() else "finished")

    async def remember_redriven(self, run_id: UUID, letters: Sequence[tuple[Place, str]]) -> None:
        """Write that the dead letters at these places were sent back, and what came of it."""
        await self._pool.execute(
            _SQL["remember_redriven"],
            [place.topic for place, _ in letters],
            [place.partition for place, _ in letters],
            [place.offset for place, _ in letters],
            [outcome for _, outcome in letters],
            run_id,
        )

    async def redriven_before(self, topic: str) -> dict[Place, str]:
        """The dead letters of ``topic`` that any run sent back or discarded, without those that died again, and what
        came of each."""
        rows = await self._pool.fetch(_SQL["redriven_before"], topic)
        return {Place(topic, row["partition"], row["offset"]): row["outcome"] for row in rows}

    async def runs(self, limit: int) -> list[dict[str, Any]]:
        """The newest ``limit`` runs."""
        rows = await self._pool.fetch(_SQL["runs"], limit)
        return [
            {**row, **{name: json.loads(row[name]) for name in ("selection", "outcomes", "reached")}}
            for row in rows
        ]


def _columns(tally: Tally) -> tuple[int, str, str]:
    return tally.records, json.dumps(tally.outcomes), json.dumps(tally.reached)


def person() -> str:
    """Who runs this command: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
