"""Append events inside the caller's transaction: what commits is published, what rolls back never was.

An event is encoded at once, so a value that does not fit its schema aborts the business transaction instead
of stopping the relay later. In a SQLAlchemy session the unit of work is flushed first: the aggregate's row
lock is then held before the event's id is drawn, which is what makes the order of ids the order of the
aggregate.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeGuard, cast
from uuid import UUID, uuid4

import asyncpg
from opentelemetry.trace import get_current_span

from infra.ids import derived_id
from infra.queries import load
from outbox.origin import origin
from outbox.shards import shard_of
from schemas.event import Event
from schemas.privacy import publishable

if TYPE_CHECKING:
    from sqlalchemy import TextClause
    from sqlalchemy.ext.asyncio import AsyncSession

_SQL = load(__file__, "append.sql")

Target: TypeAlias = "AsyncSession | asyncpg.Connection[Any]"
"""Where an event is appended: a session or a connection, inside a transaction that the caller ends."""


class Encoder(Protocol):
    """What the outbox needs of a codec."""

    def encode(self, event: Event, /) -> bytes:
        """The bytes of ``event``; raises when a field does not fit the schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Append:
    """One event with what goes around it.

    ``version`` is the aggregate's version, published as ``ce_sequence``; with it the event's id is derived
    from ``source``, ``subject`` and ``version``, so that the same state change always has the same id.
    ``key`` defaults to the event's own, ``subject`` to the key, ``time`` to now, ``traceparent`` to the
    current span. ``extensions`` come on top of those of :mod:`outbox.origin`.
    """

    event: Event
    source: str
    version: int | None
    key: str | None = None
    subject: str | None = None
    event_id: UUID | None = None
    correlation_id: str | None = None
    causation_id: str | None = None
    extensions: Mapping[str, str] | None = None
    traceparent: str | None = None
    time: datetime | None = None


class Outbox:
    """The outbox of whichever database the given session or connection belongs to. Holds no state."""

    def __init__(self, codec: Encoder) -> None:
        self._codec = codec

    async def append(
        self,
        target: Target,
        event: Event,
        *,
        source: str,
        version: int | None,
        key: str | None = None,
        subject: str | None = None,
        event_id: UUID | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        extensions: Mapping[str, str] | None = None,
        traceparent: str | None = None,
        time: datetime | None = None,
    ) -> UUID:
        """Append ``event`` in the transaction of ``target``; returns the event's id. See :class:`Append`.

        Raises the codec's ``EncodeError`` before anything is written, also for an event that holds more about a
        person than a reference (:mod:`schemas.privacy`).
        """
        one = Append(
            event=event,
            source=source,
            version=version,
            key=key,
            subject=subject,
            event_id=event_id,
            correlation_id=correlation_id,
            causation_id=causation_id,
            extensions=extensions,
            traceparent=traceparent,
            time=time,
        )
        return (await self.append_all(target, [one]))[0]

    async def append_all(self, target: Target, appends: Sequence[Append]) -> list[UUID]:
        """Append all, in this order, as one statement; returns their ids."""
        if not appends:
            return []
        columns = self._columns(appends)
        await _execute(target, "append", columns)
        return list(columns[1])

    async def append_once(
        self,
        target: Target,
        event: Event,
        *,
        event_id: UUID,
        source: str,
        version: int | None,
        key: str | None = None,
        subject: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        extensions: Mapping[str, str] | None = None,
        traceparent: str | None = None,
        time: datetime | None = None,
    ) -> bool:
        """Append ``event`` unless ``event_id`` was appended before; False when it was, and nothing is
        written.

        The identity is kept apart from the event and outlives it (docs/decisions/0004). A concurrent attempt
        waits for this transaction to end. Appending with :meth:`append` claims no identity.
        """
        one = Append(
            event=event,
            source=source,
            version=version,
            key=key,
            subject=subject,
            event_id=event_id,
            correlation_id=correlation_id,
            causation_id=causation_id,
            extensions=extensions,
            traceparent=traceparent,
            time=time,
        )
        return bool(await _execute(target, "append_once", self._columns([one])))

    async def exists(self, target: Target, event_id: UUID) -> bool:
        """Whether ``event_id`` was appended by :meth:`append_once`, as far as this transaction can see."""
        rows = await _execute(target, "exists", (event_id,))
        return bool(rows[0][0])

    def _columns(self, appends: Sequence[Append]) -> tuple[list[Any], ...]:
        return tuple(map(list, zip(*(self._row(one) for one in appends), strict=True)))

    def _row(self, one: Append) -> tuple[Any, ...]:
        event = publishable(one.event)
        key = one.key or event.key
        subject = one.subject or key
        return (
            shard_of(key),
            one.event_id or _event_id(one.source, subject, one.version),
            event.TOPIC,
            key,
            event.TYPE,
            one.source,
            subject,
            one.version,
            one.time or datetime.now(UTC),
            one.correlation_id,
            one.causation_id,
            json.dumps({**origin(), **(one.extensions or {})}, sort_keys=True),
            one.traceparent or _current_traceparent(),
            self._codec.encode(event),
        )


def _event_id(source: str, subject: str, version: int | None) -> UUID:
    return uuid4() if version is None else derived_id("event", source, subject, version)


def _current_traceparent() -> str | None:
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"


@cache
def _named(name: str) -> TextClause:
    """A query with ``$1`` as SQLAlchemy writes it."""
    from sqlalchemy import text

    return text(re.sub(r"\$(\d+)", r":p\1", _SQL[name]))


def _is_session(target: Target) -> TypeGuard[AsyncSession]:
    """Asked without importing SQLAlchemy: the relay lives without it, and whoever has a session has imported it."""
    asyncio_part = sys.modules.get("sqlalchemy.ext.asyncio")
    return asyncio_part is not None and isinstance(target, asyncio_part.AsyncSession)


async def _execute(target: Target, name: str, arguments: Sequence[Any]) -> Sequence[Any]:
    """Run a query in the caller's transaction; the rows that it returns."""
    if _is_session(target):
        await target.flush()
        named = {f"p{n}": value for n, value in enumerate(arguments, start=1)}
        result: Any = await target.execute(_named(name), named)
        return result.fetchall() if result.returns_rows else ()
    return await cast("asyncpg.Connection[Any]", target).fetch(_SQL[name], *arguments)
