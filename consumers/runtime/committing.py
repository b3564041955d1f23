"""Commits what is contiguous: by time, by count, and when partitions go."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from consumers.errors import RetryLaterError
from consumers.runtime.lanes import Lanes
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.record import ConsumedRecord
from consumers.runtime.vitals import Vitals

_log = structlog.get_logger()


class Committer:
    """Commits the head of every partition in ``lanes``: every ``interval`` seconds, or after ``records`` records.

    ``before_commit`` returns once everything handled so far is durable; offsets are committed only then.
    """

    def __init__(
        self,
        lanes: Lanes[TopicPartition, ConsumedRecord],
        *,
        before_commit: Callable[[], Awaitable[None]],
        interval: float,
        records: int,
        metrics: RuntimeMetrics,
        vitals: Vitals,
    ) -> None:
        self._lanes = lanes
        self._before_commit = before_commit
        self._interval = interval
        self._records = records
        self._metrics = metrics
        self._vitals = vitals
        self._one_at_a_time = asyncio.Lock()
        self._now = asyncio.Event()
        self._read = 0

    def read(self, records: int) -> None:
        """So many more records were read since the last commit."""
        self._read += records
        if self._read >= self._records:
            self._now.set()

    async def run(self, consumer: Any) -> None:
        """Commit through ``consumer`` until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), self._interval)
            self._now.clear()
            await self.commit(consumer)

    async def commit(self, consumer: Any) -> bool:
        """Commit the head of every partition through ``consumer``; False where that is left to the next time."""
        async with self._one_at_a_time:
            self._read = 0
            heads = [
                (partition, head)
                for partition in self._lanes
                if (head := partition.tracker.commitable) is not None
            ]
            try:
                # Also where no head has moved: one key that waits must not keep the outcomes of others in memory.
                await self._before_commit()
                if not heads:
                    return True
                self._vitals.committing_since = self._vitals.clock()
                await consumer.commit({partition.place: head for partition, head in heads})
            except RetryLaterError as error:
                _log.warning("offsets are not committed yet", reason=str(error))
                self._metrics.commits.labels("postponed").inc()
            except (CommitFailedError, IllegalStateError, ValueError) as error:
                # The partitions are somebody else's by now; their next owner begins at the last commit.
                _log.warning("commit refused", reason=str(error))
                self._metrics.commits.labels("refused").inc()
            except KafkaError as error:
                _log.warning("commit failed", reason=f"{type(error).__name__} {error}")
                self._metrics.commits.labels("failed").inc()
            else:
                self._metrics.commits.labels("done").inc()
                for (
                    partition,
                    head,
                ) in heads:  # of a partition let go meanwhile, nobody asks this object any more
                    partition.tracker.committed(head)
                return True
            finally:
                self._vitals.committing_since = None
            return False
