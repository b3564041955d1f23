"""A run over records, from the first to the last, with a row in the audit trail that says how it ended."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar
from uuid import UUID

from consumers.replay.audit import AuditTrail, RunRequest, Status, Tally
from consumers.replay.record_types import TypeOf
from consumers.replay.resend import NO_ROUTE, Bridge, Parcel, Resender, Sent
from consumers.replay.selection import Selection
from consumers.replay.source import RecordSource
from consumers.runtime.record import ConsumedRecord

_CHUNK = 200
_Item = TypeVar("_Item")

Progress = Callable[[Tally], None]


@dataclass(frozen=True, slots=True)
class RunReport:
    """How a run ended. ``run_id`` is its row in ``replay.runs``."""

    run_id: UUID
    status: Status
    tally: Tally


@dataclass(frozen=True, slots=True)
class Preview:
    """What a run would do: for each type, how many records there are and what would come of them."""

    records: int
    by_type: Mapping[str, Mapping[str, int]]


async def selected(
    source: RecordSource, selection: Selection, type_of: TypeOf
) -> AsyncIterator[list[ConsumedRecord]]:
    """Batches of the records that fit ``selection`` in every respect."""
    async for batch in source.read(selection):
        if taken := [record for record in batch if selection.takes_type(await type_of(record))]:
            yield taken


async def as_they_are(batches: AsyncIterator[list[ConsumedRecord]]) -> AsyncIterator[list[Parcel]]:
    """Records to be sent as they stand in their topic."""
    async for batch in batches:
        yield [Parcel(record, taken_from=record) for record in batch]


async def preview(
    bridge: Bridge,
    parcels: AsyncIterator[list[Parcel]],
    type_of: TypeOf,
    stop: asyncio.Event,
    progress: Callable[[int], None] = lambda _: None,
) -> Preview:
    """What sending ``parcels`` would do, as far as the ledger knows; nothing is sent and nothing is written."""
    by_type: dict[str, Counter[str]] = {}
    records = 0
    async for batch in parcels:
        for chunk in chunks(batch, _CHUNK):
            plans = await asyncio.gather(*(bridge.preview(parcel.record) for parcel in chunk))
            for parcel, planned in zip(chunk, plans, strict=True):
                counted = by_type.setdefault(await type_of(parcel.record) or "(unknown)", Counter())
                counted.update(["records", *([one.would for one in planned] or [NO_ROUTE])])
            records += len(chunk)
            progress(records)
            if stop.is_set():
                return Preview(records, by_type)
    return Preview(records, by_type)


async def _nothing_more(_run_id: UUID, _sent: Sequence[Sent]) -> None:
    return


async def execute(
    trail: AuditTrail,
    bridge: Bridge,
    request: RunRequest,
    parcels: AsyncIterator[list[Parcel]],
    stop: asyncio.Event,
    *,
    progress: Progress = lambda _: None,
    after: Callable[[UUID, Sequence[Sent]], Awaitable[None]] = _nothing_more,
) -> RunReport:
    """Send ``parcels`` until they end or ``stop`` is set.

    The audit row is there before the first record is sent; ``after`` is called with what was sent, chunk by chunk.
    Raises what the bridge raises, with the row saying ``failed``.
    """
    origin: Literal["replay", "redrive"] = "replay" if request.command == "replay" else "redrive"
    resender = Resender(bridge, origin=origin, stop=stop, rate=request.rate)
    whole = True
    async with trail.run(request, stop) as run:
        async for batch in parcels:
            for chunk in chunks(batch, _chunk_size(request.rate)):
                try:
                    sent = await resender.send(chunk)
                finally:
                    run.tally = resender.tally
                await after(run.id, sent)
                await run.note(resender.tally)
                progress(resender.tally)
                whole = len(sent) == len(chunk)
                if not whole:
                    break
            if not whole or stop.is_set():
                break
    return RunReport(run.id, "stopped" if stop.is_set() else "finished", run.tally)


def chunks(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """``items`` in lists of at most ``size``."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def _chunk_size(rate: float | None) -> int:
    """About a second's worth at a rate, so that progress and the audit row are never far behind."""
    return _CHUNK if rate is None else max(1, min(_CHUNK, int(rate)))
