"""How many records each consumer group has not finished yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

from infra.clients.kafka import aiokafka_options
from infra.settings import KafkaSettings

_NEAR: Final = 50
"""Offsets from the end within which it is looked whether they are records."""
_LOOKS: Final = 5


class GroupLag:
    """Looks at the distance between the end of topics and what consumer groups have committed.

    ``groups`` maps a group id to the topics that it reads, with the partitions that they have at the first look. An
    async context manager.
    """

    def __init__(self, settings: KafkaSettings, groups: Mapping[str, Sequence[str]]) -> None:
        options: dict[str, Any] = aiokafka_options(settings)
        self._groups = groups
        self._options = options
        self._admin = AIOKafkaAdminClient(**options)
        self._consumer = AIOKafkaConsumer(**options)
        self._partitions: list[TopicPartition] = []
        self._before: dict[tuple[str, TopicPartition], tuple[int, int]] = {}
        """Where each group stood and where the partition ended, at the look before."""

    async def __aenter__(self) -> Self:
        try:
            await self._admin.start()
            await self._consumer.start()
        except BaseException:  # a Ctrl-C at this moment, too
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._consumer.stop()
        await self._admin.close()

    async def look(self, *, again_soon: bool = False) -> dict[str, int]:
        """Records between the committed offset and the end, by group; all where nothing is committed.

        Whether there are records or only marks of transactions takes reading the end of a partition. For who looks
        ``again_soon`` only those are read in which nothing has moved since the look before; what has moved counts
        as records until then.
        """
        if not self._partitions:
            self._partitions = await self._describe()
        ends = await self._consumer.end_offsets(self._partitions)
        lag: dict[str, int] = {}
        for group, wanted in self._groups.items():
            committed = await self._committed(group)
            starts = {place: max(0, committed[place].offset) if place in committed else 0 for place in ends}
            left = {
                place: end - starts[place]
                for place, end in ends.items()
                if place.topic in wanted and end > starts[place]
            }
            stands = {place: (starts[place], ends[place]) for place in left}
            near = {
                place: starts[place]
                for place, distance in left.items()
                if distance <= _NEAR and (not again_soon or self._before.get((group, place)) == stands[place])
            }
            self._before |= {(group, place): stand for place, stand in stands.items()}
            finished = await self._without_records(near, ends)
            lag[group] = sum(distance for place, distance in left.items() if place not in finished)
        return lag

    async def _describe(self) -> list[TopicPartition]:
        topics = sorted({topic for topics in self._groups.values() for topic in topics})
        return [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await self._admin.describe_topics(topics)
            for partition in topic["partitions"]
        ]

    async def _without_records(
        self, starts: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> set[TopicPartition]:
        """Partitions that hold nothing to read between ``starts`` and ``ends``: only the marks that transactions
        leave, which no group ever finishes."""
        finished: set[TopicPartition] = set()
        if not starts:
            return finished
        left = set(starts)
        consumer = AIOKafkaConsumer(**self._options, isolation_level="read_committed")
        await consumer.start()
        try:
            consumer.assign(list(starts))
            for place, start in starts.items():
                consumer.seek(place, start)
            for _ in range(_LOOKS):
                left -= (await consumer.getmany(timeout_ms=100)).keys()
                finished |= {place for place in left if await consumer.position(place) >= ends[place]}
                left -= finished
                if not left:
                    break
        finally:
            await consumer.stop()
        return finished

    async def _committed(self, group: str) -> Mapping[TopicPartition, Any]:
        try:
            committed: Mapping[TopicPartition, Any] = await self._admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:
            return {}  # a young broker makes its offsets topic when the first group comes
        return committed
