"""Round after round: look, read the window page by page, send, move the cursor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from math import inf
from typing import Any, Final
from uuid import uuid4

import asyncpg
import structlog

from outbox import parking
from outbox.cursor import Cohort, Cursor
from outbox.errors import LeaseLostError
from outbox.identity import ClusterIdentity
from outbox.lease import Leases
from outbox.metrics import RelayMetrics
from outbox.options import RelayOptions
from outbox.position import newer
from outbox.probe import Point, Probe
from outbox.progress import Progress
from outbox.publisher import Advance, AnyPublisher, Key, Refusal
from outbox.shards import group_of
from outbox.window import Row, look, pages

_log = structlog.get_logger()

_TURN: Final = 0.5
"""Seconds that one cohort publishes while others wait."""


class Rounds:
    """Publishes the groups that ``leases`` says are ours.

    ``reader`` reads windows, ``writer`` does everything else; ``source`` is the label in logs and metrics.
    """

    def __init__(
        self,
        source: str,
        reader: asyncpg.Connection[Any],
        writer: asyncpg.Connection[Any],
        publisher: AnyPublisher,
        leases: Leases,
        progress: Progress,
        identity: ClusterIdentity,
        *,
        options: RelayOptions,
        metrics: RelayMetrics,
        probe: Probe,
    ) -> None:
        self._source = source
        self._reader = reader
        self._writer = writer
        self._publisher = publisher
        self._leases = leases
        self._progress = progress
        self._identity = identity
        self._options = options
        self._metrics = metrics
        self._probe = probe
        self._clock = asyncio.get_running_loop().time
        self._one_writer = asyncio.Lock()
        self._held: set[Key] = set()
        self._look_for_retries_at = 0.0
        self.moved_at = self._clock()
        """When it last got anywhere: looked for rows, read a page, or had one acknowledged."""
        self.window_since: float | None = None
        """When the window under way was begun."""

    async def run(self, stop: asyncio.Event, wake: asyncio.Event) -> None:
        """Publish until ``stop`` is set; then finish the page under way and store the cursor. ``wake`` ends a pause."""
        pause = self._options.poll_shortest
        while not stop.is_set():
            self.moved_at = self._clock()
            await self._follow_leases()
            await self._retry_parked()
            published = await self._round(stop)
            await self._store(at_once=False)
            pause = self._options.poll_shortest if published else min(pause * 1.5, self._options.poll_longest)
            if not published and not stop.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await wake.wait()
                wake.clear()
        await self._store(at_once=True)

    # --- groups that come and go ----------------------------------------------------------------------------

    async def _follow_leases(self) -> None:
        """Give back what is more than our share, and begin with what is new."""
        progress = self._progress
        if surplus := self._leases.surplus & progress.epochs.keys():
            await self._store(at_once=True)
            await self._leases.give_back(surplus, self._writer)
            self._metrics.handovers.labels(self._source).inc(len(surplus))
            _log.info("groups given back", source=self._source, groups=sorted(surplus))
        epochs = dict(self._leases.epochs)
        if epochs == progress.epochs:
            return
        before = progress.epochs.keys()
        new = progress.keep(epochs)
        await self._publisher.leave(before - progress.epochs.keys())
        if new:
            await self._take(new)
        self._held = await parking.held_keys(self._writer, epochs)
        _log.info("groups", source=self._source, owned=sorted(epochs), cohorts=len(progress.cohorts))

    async def _take(self, new: dict[int, int]) -> None:
        """Begin with groups that were somebody else's, where they were left."""
        await self._publisher.layout.load(self._writer)
        stored = await self._progress.load(new)
        positions = await self._publisher.take(self._identity, stored)
        for position in positions.values():
            if position.settled:
                await parking.forget(self._writer, position.settled)
        cursors = {group: self._ours(newer(cursor, positions.get(group))) for group, cursor in stored.items()}
        self._progress.add(cursors, new)
        self._metrics.handovers.labels(self._source).inc(len(new))

    def _ours(self, cursor: Cursor) -> Cursor:
        """The cursor with its window named as our profile names windows."""
        if cursor.window is None or (cursor.window.name is not None) == self._publisher.keeps_cursor:
            return cursor
        name = uuid4() if self._publisher.keeps_cursor else None
        return replace(cursor, window=replace(cursor.window, name=name))

    def _interrupted(self, stop: asyncio.Event) -> bool:
        """Whether a window is to be left in the middle, after the page under way."""
        changed = self._leases.epochs != self._progress.epochs or self._leases.surplus
        return stop.is_set() or bool(changed)

    # --- windows --------------------------------------------------------------------------------------------

    async def _round(self, stop: asyncio.Event) -> int:
        """Publish what can be seen now, for each cohort; how many rows that was."""
        progress = self._progress
        if not progress.cohorts:
            return 0
        floor = progress.mark  # read before the look: it holds for whatever the look sees (outbox/cursor.py)
        window = await look(self._reader)
        if self._publisher.keeps_cursor:
            window = replace(window, name=uuid4())
        progress.last_id = window.ceiling
        self.window_since = self._clock()
        published = 0
        for place, before in enumerate(progress.cohorts):
            cohort, reached = before, max(floor, before.cursor.floor)
            if cohort.cursor.window is not None:
                reached = cohort.cursor.floor  # a window from before a crash is older than our mark
            elif cohort.cursor.snapshot.text == window.end.text:
                continue
            else:
                cohort = replace(cohort, cursor=cohort.cursor.opened(window))
            rows, through = await self._drain(place, cohort, stop)
            published += rows
            if self._interrupted(stop):
                return published
            if not through:
                continue
            progress.moved(place, replace(cohort, cursor=cohort.cursor.closed(reached)), stale=rows > 0)
        progress.merge()
        self.window_since = None
        return published

    async def _drain(self, place: int, cohort: Cohort, stop: asyncio.Event) -> tuple[int, bool]:
        """Publish the rest of the cohort's window, one page ahead; how many rows, and whether to its end.

        Groups that came from another relay stand elsewhere: while there are several cohorts each has its turn.
        """
        published = 0
        sending: asyncio.Task[Cohort] | None = None
        turn_ends = self._clock() + (_TURN if len(self._progress.cohorts) > 1 else inf)
        try:
            async with aclosing(pages(self._reader, cohort, self._options.page_size)) as reading:
                async for rows in reading:
                    self.moved_at = self._clock()
                    page = await self._publisher.prepare(rows, self._held)
                    if sending is not None:
                        cohort = await sending
                    if self._interrupted(stop) or self._clock() > turn_ends:
                        return published, False
                    if page.held < self._held:
                        page = await self._publisher.prepare(rows, self._held)
                    sending = asyncio.create_task(self._send(place, cohort, rows, page))
                    published += len(rows)
            if sending is not None:
                await sending
        finally:
            if sending is not None and not sending.done():
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
        return published, True

    async def _send(self, place: int, cohort: Cohort, rows: Sequence[Row], page: Any) -> Cohort:
        """Publish one page, park what was refused, and move the cohort's cursor."""
        await self._still_ours(cohort)
        await self._publisher.layout.note(self._writer)
        await self._probe.reached(Point.WINDOW_READ)
        groups = sorted({group_of(shard) for shard in {row["shard"] for row in rows}})
        after = replace(cohort, cursor=cohort.cursor.advanced(rows[-1]["id"]))

        async def secure(refusals: Sequence[Refusal]) -> None:
            async with self._one_writer:
                if self._publisher.keeps_cursor:
                    await self._progress.name(cohort, groups)
                if refusals:
                    await parking.park(self._writer, refusals)

        cursors = dict.fromkeys(after.groups, after.cursor)
        refusals = await self._publisher.send(page, Advance(cursors, secure))
        self.moved_at = self._clock()
        self._progress.moved(place, after)
        self._hold(refusals)
        await self._store(at_once=bool(refusals))
        await self._probe.reached(Point.CURSOR_STORED)
        name = self._source
        self._metrics.rows.labels(name).inc(len(rows) - len(refusals))
        self._metrics.pages.labels(name).inc()
        self._metrics.batches.labels(name).inc(page.batches)
        self._metrics.transactions.labels(name, "committed").inc(page.committed)
        self._metrics.transactions.labels(name, "aborted").inc(page.aborted)
        self._metrics.delay.labels(name).observe(max(0.0, time.time() - rows[0]["timestamp_ms"] / 1000))
        return after

    async def _still_ours(self, cohort: Cohort) -> None:
        """Wait for a lease that holds now; a relay that was frozen past its lease learns here that it lost it.

        Raises :class:`LeaseLostError` when a group of the cohort has changed hands since its cursor was read.
        """
        await self._leases.held()
        for group in cohort.groups:
            if self._leases.epochs.get(group) != self._progress.epochs.get(group):
                raise LeaseLostError(f"group {group} of {self._source} changed hands")

    async def _store(self, *, at_once: bool) -> None:
        self._metrics.stores.labels(self._source).inc(await self._progress.store(at_once=at_once))

    # --- rows that were refused -----------------------------------------------------------------------------

    def _hold(self, refusals: Sequence[Refusal]) -> None:
        """Keep back what follows refused rows; they are parked by now."""
        if not refusals:
            return
        self._held |= {(refusal.row["topic"], refusal.row["key"]) for refusal in refusals}
        self._metrics.refused.labels(self._source).inc(len(refusals))
        first = refusals[0]
        _log.warning(
            "parked", source=self._source, rows=len(refusals), first=first.row["id"], reason=first.reason
        )

    async def _retry_parked(self) -> None:
        """Send the parked rows that somebody asked to retry, key by key in order.

        Between two windows only: of a window that is published again after a crash, rows may be parked that the
        cursor has not passed, and they would be sent twice.
        """
        if not self._held or not self._progress.between_windows or self._clock() < self._look_for_retries_at:
            return
        self._look_for_retries_at = self._clock() + self._options.status_every
        writer = self._writer
        while rows := await parking.to_retry(writer, self._progress.epochs, self._options.page_rows):
            await self._store(at_once=True)  # what Kafka says of the last window is overwritten by the retry
            for cohort in self._progress.cohorts:
                await self._still_ours(cohort)
            page = await self._publisher.prepare(rows, ())
            await self._publisher.layout.note(writer)
            refusals = await self._publisher.send(
                page, Advance(self._progress.cursors, _nothing, settles=True)
            )
            await parking.settle(writer, rows, refusals)
        self._held = await parking.held_keys(writer, self._progress.epochs)


async def _nothing(_: Sequence[Refusal]) -> None:
    """Rows that are parked already need no copy."""
