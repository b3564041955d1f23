"""The two kinds of handlers, and what is done with what they answer: one record at a time, or many together."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import TopicPartition

from consumers.errors import ConsumerError, RetryLaterError
from consumers.runtime.lanes import Lane, Lanes
from consumers.runtime.record import ConsumedRecord
from infra.errors import MisuseError

Handler = Callable[[ConsumedRecord], Awaitable[Any]]
"""Returns when it is done with a record; raises `consumers.errors.RetryLaterError` to get it again."""

BatchHandler = Callable[[Sequence[ConsumedRecord]], Awaitable[Sequence[Exception | None] | None]]
"""Takes records together, those of one key in their order; says what came of each (`Batches`)."""

RecordLane = Lane[TopicPartition, ConsumedRecord]
Done = Callable[[RecordLane], None]
"""All records of the lane that were taken are handled."""
NotDone = Callable[[RecordLane, ConsumedRecord, Exception, int], None]
"""This record of the lane is not handled, for this reason; that many before it are."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Batches:
    """A handler for a sink that is quicker with many records than with one: a table, a bucket, an index.

    ``handler`` gets up to ``size`` records of any partitions, of each key at most ``per_key`` (1: distinct keys; None:
    as many as wait) in their order. It answers None when it is done with all of them, or for each record None or the
    error for which it is to be handled again, a :class:`~consumers.errors.RetryLaterError` as the handler of one
    record would raise. After the first error of a key, what it says of that key's later records is not heard: they
    come again. What it raises holds for all. A record that failed comes back alone, so that one that is bad does not
    hold the others up.

    No clock: a batch is what waits when a worker is free. A batch for each worker is under way at once, so a sink
    wants few workers.
    """

    handler: BatchHandler
    size: int = 500
    per_key: int | None = None

    def __post_init__(self) -> None:
        if self.size < 1 or (self.per_key is not None and self.per_key < 1):
            raise MisuseError("a batch holds at least one record, and at least one of each key")


class Together:
    """Handles the records of a lane with those of other lanes that are ready."""

    def __init__(
        self,
        batches: Batches,
        lanes: Lanes[TopicPartition, ConsumedRecord],
        *,
        done: Done,
        not_done: NotDone,
    ) -> None:
        self._batches = batches
        self._lanes = lanes
        self._done = done
        self._not_done = not_done

    async def __call__(self, lane: RecordLane) -> int:
        """How many records were handled."""
        taken = self._gather(lane)
        records = [each.items[at][1] for each in taken for at in range(each.taken)]
        outcomes = await self._outcomes(records)
        start = 0
        for each in taken:
            end = start + each.taken
            failed = next((at for at in range(start, end) if outcomes[at] is not None), None)
            if failed is None:
                self._done(each)
            else:
                error = outcomes[failed]
                assert error is not None  # noqa: S101 - it was looked for
                self._not_done(each, records[failed], error, failed - start)
            start = end
        return len(records)

    def _gather(self, first: RecordLane) -> list[RecordLane]:
        taken = [first]
        if first.failures or first.probe:
            return taken
        left = self._batches.size - self._take_run(first, self._batches.size)
        while left and (lane := self._lanes.take()) is not None:
            if lane.failures or lane.probe:
                self._lanes.put_back(lane)
                break
            left -= self._take_run(lane, left)
            taken.append(lane)
        return taken

    def _take_run(self, lane: RecordLane, most: int) -> int:
        lane.taken = min(len(lane.items), most, self._batches.per_key or most)
        return lane.taken

    async def _outcomes(self, records: Sequence[ConsumedRecord]) -> Sequence[Exception | None]:
        try:
            outcomes = await self._batches.handler(records)
        except RetryLaterError as error:
            return [error] * len(records)
        except Exception as error:
            _log.exception("a batch could not be handled", first=records[0].coordinates, records=len(records))
            return [error] * len(records)
        if outcomes is None:
            return [None] * len(records)
        if len(outcomes) == len(records):
            return outcomes
        answer = ConsumerError(
            f"a batch handler answered {len(outcomes)} outcomes for {len(records)} records"
        )
        _log.error("a batch could not be handled", reason=str(answer), first=records[0].coordinates)
        return [answer] * len(records)
