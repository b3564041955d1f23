"""The PostgreSQL sink: a batch of order events becomes facts and revenue in one transaction.

The application reads at least once. A batch that was written but whose offsets were not committed comes again after
a crash; its event ids are then in ``analytics.seen_events``, written in the same transaction as the facts, and it
changes nothing. Once a topic has let go of a record its id is forgotten (:mod:`consumers.retention`). Should it come
again even so, the facts are still right: the fold is idempotent by itself, and
revenue is added as the difference between the facts before and after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final, TypeAlias

import asyncpg

from consumers.analytics.facts import COLUMNS, OrderFacts, fold, order_of
from consumers.analytics.payments import Taking, taking_of
from consumers.analytics.revenue import Revenue, RevenueDay, revenue_change
from consumers.runtime.record import ConsumedRecord
from infra import queries
from schemas.envelope import Envelope
from schemas.event import Event

_SQL: Final = queries.load(__file__, "sink.sql")

FORGET_EVENTS: Final = _SQL["forget_events"]
"""Deletes old event ids, for :class:`consumers.retention.Forgetting`."""
_BOOKING: Final = tuple(field.name for field in fields(Taking))


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event of an order topic: what it says, who sent it, and the record it came in."""

    event: Event
    envelope: Envelope
    record: ConsumedRecord


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A record that cannot become facts, and why."""

    record: ConsumedRecord
    reason: str


@dataclass(frozen=True, slots=True)
class Written:
    """What a batch did: events folded for the first time, repeats left out, records kept as dead letters."""

    folded: int
    repeated: int
    unreadable: int

    def __add__(self, other: Written) -> Written:
        return Written(
            self.folded + other.folded, self.repeated + other.repeated, self.unreadable + other.unreadable
        )


class FactsSink:
    """Writes batches through a pool; safe to call again with the same batch, from several processes at once."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    async def write(
        self, received: Sequence[ReceivedEvent], unreadable: Sequence[UnreadableRecord] = ()
    ) -> Written:
        """Fold what has not been seen, each event once, and keep what cannot be read.

        An event whose values PostgreSQL cannot hold (a NUL in a text, a number too long) is kept as unreadable and
        stops no other. Raises what asyncpg raises for anything else; calling again with the same batch is then right.
        """
        try:
            return await self._write_together(received, unreadable)
        except asyncpg.DataError as error:
            if len(received) == 1:
                # Its class and no more: asyncpg's message repeats the value.
                reason = f"PostgreSQL cannot hold it: {type(error).__name__}"
                return await self._write_together(
                    (), [*unreadable, UnreadableRecord(received[0].record, reason)]
                )
        total = await self._write_together((), unreadable)
        for one in received:
            total += await self.write([one])
        return total

    async def _write_together(
        self, received: Sequence[ReceivedEvent], unreadable: Sequence[UnreadableRecord]
    ) -> Written:
        async with self._pool.acquire() as connection, connection.transaction():
            if unreadable:
                await _keep(connection, unreadable)
            fresh = await _remember(connection, received) if received else []
            if fresh:
                await _fold_into(connection, fresh)
                await _book(connection, fresh)
        return Written(folded=len(fresh), repeated=len(received) - len(fresh), unreadable=len(unreadable))


Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)


async def _keep(connection: Connection, unreadable: Sequence[UnreadableRecord]) -> None:
    ordered = sorted(unreadable, key=lambda one: (one.record.topic, one.record.partition, one.record.offset))
    columns = [
        [getattr(one.record, name) for one in ordered]
        for name in ("topic", "partition", "offset", "key", "value")
    ]
    reasons = [one.reason.replace("\x00", "\ufffd") for one in ordered]
    await connection.execute(_SQL["keep_dead_letters"], *columns, reasons)


async def _remember(connection: Connection, received: Sequence[ReceivedEvent]) -> list[ReceivedEvent]:
    by_id = {one.envelope.id: one for one in reversed(received)}
    rows = await connection.fetch(_SQL["remember_events"], sorted(by_id))
    return [by_id[row["event_id"]] for row in rows]


async def _fold_into(connection: Connection, fresh: Iterable[ReceivedEvent]) -> None:
    by_order: dict[str, list[ReceivedEvent]] = {}
    for one in fresh:
        if (order_id := order_of(one.event)) is not None:
            by_order.setdefault(order_id, []).append(one)
    if not by_order:
        return
    order_ids = sorted(by_order)
    await connection.execute(_SQL["ensure_orders"], order_ids)
    known = [_facts(row) for row in await connection.fetch(_SQL["lock_orders"], order_ids)]
    changes = []
    for before in known:
        after = before
        for one in by_order[before.order_id]:
            after = fold(after, one.event, one.envelope)
        if after != before:
            changes.append((before, after))
    if not changes:
        return
    written = [after for _, after in changes]
    await connection.execute(
        _SQL["write_orders"], *([getattr(facts, column) for facts in written] for column in COLUMNS)
    )
    await _add_revenue(connection, revenue_change(changes))


async def _add_revenue(connection: Connection, change: Mapping[RevenueDay, Revenue]) -> None:
    if not change:
        return
    await connection.execute(
        _SQL["add_revenue"],
        [key.day for key in change],
        [key.currency for key in change],
        [revenue.orders for revenue in change.values()],
        [revenue.gross for revenue in change.values()],
        [revenue.net for revenue in change.values()],
    )


async def _book(connection: Connection, fresh: Iterable[ReceivedEvent]) -> None:
    takings = {taking.booking_id: taking for one in fresh if (taking := taking_of(one.event)) is not None}
    if not takings:
        return
    ordered = [takings[booking_id] for booking_id in sorted(takings)]
    await connection.execute(
        _SQL["book_payments"], *([getattr(one, column) for one in ordered] for column in _BOOKING)
    )


def _facts(row: asyncpg.Record) -> OrderFacts:
    return OrderFacts(**{column: row[column] for column in COLUMNS})
