"""Looks about once a second at how far the partitions reach and at whether the client still works, and starts another
one when it does not."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from consumers.runtime.client import start_client
from consumers.runtime.lanes import Lanes
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.options import RuntimeOptions
from consumers.runtime.record import ConsumedRecord
from consumers.runtime.vitals import Vitals
from consumers.runtime.watchdog import Watchdog
from infra.errors import UnavailableError
from infra.settings import KafkaSettings

_LOOK_EVERY: Final = 1.0
_ASK_WITHIN: Final = 5.0
_PAUSED_EVERY: Final = 10.0
"""Seconds between two questions where a paused partition ends, of which no fetch tells."""

_log = structlog.get_logger()


class Lookout:
    """Keeps ``vitals`` up to date with what a client knows of its partitions, and has the watchdog look at them."""

    def __init__(
        self,
        settings: KafkaSettings,
        options: RuntimeOptions,
        lanes: Lanes[TopicPartition, ConsumedRecord],
        vitals: Vitals,
        metrics: RuntimeMetrics,
    ) -> None:
        self._settings = settings
        self._options = options
        self._lanes = lanes
        self._vitals = vitals
        self._metrics = metrics
        self._watchdog = Watchdog(options.stuck_after, interval=_LOOK_EVERY)
        self._asked_at = 0.0

    async def replacement(self, client: Any) -> Any:
        """Return once ``client`` stands still, with a client that has reached the brokers.

        While none reaches them it is Kafka that is away: the old one then has its time again, to recover by itself.
        """
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            await self._look(client)
            stuck = self._watchdog.look(self._vitals.clock(), self._vitals.missing())
            if stuck is None:
                continue
            _log.error("the Kafka client stands still and is replaced", missing=stuck)
            try:
                another = await start_client(self._settings, self._options)
            except UnavailableError as error:
                _log.warning("Kafka is away", reason=str(error))
                self._watchdog.forgive(self._vitals.clock())
            else:
                self._metrics.replaced.labels(stuck).inc()
                return another

    async def _look(self, client: Any) -> None:
        now = self._vitals.clock()
        for partition in list(self._lanes):
            known = self._vitals.partitions.get(partition.place)
            if known is None or partition.place not in client.assignment():
                continue
            fetched = client.last_poll_timestamp(partition.place)
            if partition.paused or fetched != known.fetched:
                known.fetched, known.fetched_at = fetched, now
            if (end := client.highwater(partition.place)) is not None:
                known.end = max(end, known.end or 0)
                known.position = await _position(client, partition.place)
        await self._ask_of_paused(client, now)

    async def _ask_of_paused(self, client: Any, now: float) -> None:
        paused = [partition.place for partition in self._lanes if partition.paused]
        if not paused or now - self._asked_at < _PAUSED_EVERY:
            return
        self._asked_at = now
        try:
            async with asyncio.timeout(_ASK_WITHIN):
                ends = await client.end_offsets(paused)
        except (KafkaError, TimeoutError) as error:
            _log.info("ends of paused partitions are not known", reason=type(error).__name__)
            return
        for place, end in ends.items():
            if (known := self._vitals.partitions.get(place)) is not None:
                known.end = end


async def _position(client: Any, place: TopicPartition) -> int | None:
    """Where the client reads on; None while it does not know."""
    try:
        async with asyncio.timeout(_LOOK_EVERY):
            return int(await client.position(place))
    except (IllegalStateError, KafkaError, TimeoutError):
        return None
