"""Sends records through the bridge again: in order for each key, many keys at once, no faster than asked.

The bridge asks its ledger before it does anything, so a record that had its effect has none now. What is left to
this module is the order, the pace, a clean stop, and the figures.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol

from consumers.bridge.delivery import Delivered
from consumers.errors import RetryLaterError
from consumers.replay.audit import Tally
from consumers.runtime.backoff import Backoff
from consumers.runtime.record import ConsumedRecord

if TYPE_CHECKING:
    from consumers.bridge.bridge import Planned  # brings Temporal's client, which listing needs nothing of

NO_ROUTE: Final = "no_route"
"""Outcome of a record that no route wants."""
_BACKOFF: Final = Backoff(first=0.1, limit=5.0)


class Bridge(Protocol):
    """What a record is sent through."""

    async def handle(
        self, record: ConsumedRecord, *, origin: Literal["replay", "redrive"]
    ) -> list[Delivered]:
        """Deliver ``record`` on each of its routes; what became of it on each."""

    async def preview(self, record: ConsumedRecord) -> list[Planned]:
        """What :meth:`handle` would do."""

    async def flush(self) -> None:
        """Return once the outcome of everything handled so far is durable."""


class Pace:
    """At most ``rate`` records a second, evenly; ``None`` is as fast as it goes."""

    def __init__(self, rate: float | None) -> None:
        self._gap = 0.0 if rate is None else 1.0 / rate
        self._next = 0.0

    async def turn(self, stop: asyncio.Event) -> None:
        """Return when the next record may go, or at once when ``stop`` is set."""
        if not self._gap:
            return
        now = asyncio.get_running_loop().time()
        wait = self._next - now
        self._next = max(self._next, now) + self._gap
        if wait > 0:
            await _stopped_within(stop, wait)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A record to send, and where it was taken from: the same record, or the dead letter that holds it."""

    record: ConsumedRecord
    taken_from: ConsumedRecord


@dataclass(frozen=True, slots=True)
class Sent:
    """A parcel that was sent, and what came of it on each route (``no_route`` where none wants it)."""

    parcel: Parcel
    outcomes: tuple[str, ...]


class Resender:
    """Sends parcels; ``tally`` is what was done so far. ``patience`` (seconds) is how long one parcel may wait."""

    def __init__(
        self,
        bridge: Bridge,
        *,
        origin: Literal["replay", "redrive"],
        stop: asyncio.Event,
        rate: float | None = None,
        keys_at_once: int = 32,
        patience: float = 30.0,
    ) -> None:
        self._bridge = bridge
        self._origin: Literal["replay", "redrive"] = origin
        self._stop = stop
        self._pace = Pace(rate)
        self._room = asyncio.Semaphore(keys_at_once)
        self._patience = patience
        self._records = 0
        self._outcomes: Counter[str] = Counter()
        self._reached: dict[str, int] = {}

    @property
    def tally(self) -> Tally:
        """Records sent, how often each outcome came of one on one route, and the furthest place of each partition."""
        return Tally(self._records, dict(sorted(self._outcomes.items())), dict(sorted(self._reached.items())))

    async def send(self, parcels: Iterable[Parcel]) -> list[Sent]:
        """Send all, each key in the order given; what was sent, which is less than all when the stop came first.

        A parcel that was begun is finished. What came of the parcels is durable when this returns. Raises what the
        bridge raises; what was sent before is in the tally.
        """
        sent: list[Sent] = []
        lanes: dict[tuple[str, int, bytes | None], list[Parcel]] = {}
        for parcel in parcels:
            record = parcel.record
            lanes.setdefault((record.topic, record.partition, record.key), []).append(parcel)
        try:
            async with asyncio.TaskGroup() as group:
                for lane in lanes.values():
                    group.create_task(self._send_lane(lane, sent))
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            await self._bridge.flush()
        return sent

    async def _send_lane(self, lane: Sequence[Parcel], sent: list[Sent]) -> None:
        for parcel in lane:
            async with self._room:
                await self._pace.turn(self._stop)
                if self._stop.is_set():
                    return
                delivered = await self._deliver(parcel.record)
                if delivered is None:
                    return
                outcomes = tuple(one.outcome.value for one in delivered) or (NO_ROUTE,)
                sent.append(Sent(parcel, outcomes))
                self._count(parcel.taken_from, outcomes)

    def _count(self, record: ConsumedRecord, outcomes: Sequence[str]) -> None:
        self._records += 1
        self._outcomes.update(outcomes)
        partition = f"{record.topic}:{record.partition}"
        self._reached[partition] = max(record.offset, self._reached.get(partition, 0))

    async def _deliver(self, record: ConsumedRecord) -> list[Delivered] | None:
        """Deliver, waiting out what passes for as long as a person waits; ``None`` when the stop came first."""
        patient_until = asyncio.get_running_loop().time() + self._patience
        failures = 0
        while True:
            try:
                return await self._bridge.handle(record, origin=self._origin)
            except RetryLaterError as error:
                failures += 1
                pause = error.retry_after or _BACKOFF.after(failures)
                if asyncio.get_running_loop().time() + pause > patient_until:
                    raise
            if await _stopped_within(self._stop, pause):
                return None


async def _stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
