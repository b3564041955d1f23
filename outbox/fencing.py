"""Taking a group over in Kafka: shut its last publisher out, then read how far it came.

In that order. Once :func:`take_over` has a producer with the group's transactional id, the last one's transaction
is committed or aborted and it can begin no other (the broker raised the producer's epoch), so what is read after that
is the end of its story.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.errors import UnavailableError
from outbox.errors import PublisherBrokenError, RelayRefusedError
from outbox.identity import ClusterIdentity
from outbox.options import RelayOptions
from outbox.position import Position
from outbox.producers import abandon, started_producer, transactional_id
from outbox.shards import GROUPS

_SPANS: Final = (1_000, 50_000)
"""Offsets from the end of a partition that are looked through before all of it is."""


async def take_over(
    connection: dict[str, Any], options: RelayOptions, identity: ClusterIdentity, groups: Iterable[int]
) -> tuple[dict[int, AIOKafkaProducer], dict[int, Position]]:
    """A producer for each of ``groups``, which nobody else has from now on, and how far each group came.

    A group without a position has none in Kafka. Raises aiokafka's errors; :class:`UnavailableError` when the topic
    of positions is missing, or cannot be read to its end in time.
    """
    wanted = sorted(groups)
    opening = [
        asyncio.create_task(
            started_producer(
                connection, options, transactional_id=transactional_id(identity.generation, group)
            )
        )
        for group in wanted
    ]
    try:
        producers = dict(zip(wanted, await asyncio.gather(*opening), strict=True))
        return producers, await positions(connection, options, identity, wanted)
    except BaseException:
        for outcome in await asyncio.gather(*opening, return_exceptions=True):
            if isinstance(outcome, AIOKafkaProducer):
                await abandon(outcome)
        raise


def key_of(identity: ClusterIdentity, group: int) -> bytes:
    """The key of the group's records in the topic of positions."""
    return f"{identity.generation}/{group}".encode()


async def positions(
    connection: dict[str, Any], options: RelayOptions, identity: ClusterIdentity, groups: Iterable[int]
) -> dict[int, Position]:
    """The last committed position of each of ``groups`` that has one."""
    keys = {key_of(identity, group): group for group in groups}
    places = {TopicPartition(options.cursor_topic, group): group for group in keys.values()}
    if not places:
        return {}
    common: dict[str, Any] = {**connection, "enable_auto_commit": False}
    committed = AIOKafkaConsumer(**common, isolation_level="read_committed")
    everything = AIOKafkaConsumer(**common)  # its end is the end, and not where the oldest transaction began
    try:
        async with asyncio.timeout(options.delivery_timeout):
            await asyncio.gather(committed.start(), everything.start())
            await _require_topic(everything, options.cursor_topic)
            ends = await everything.end_offsets(list(places))
            begins = await everything.beginning_offsets(list(places))
            committed.assign(list(places))
            found: dict[bytes, bytes] = {}
            for span in (*_SPANS, None):
                starts = {
                    place: begins[place] if span is None else max(begins[place], ends[place] - span)
                    for place in places
                }
                await _read(committed, starts, ends, found)
                if keys.keys() <= found.keys() or starts == begins:
                    break
    except TimeoutError as error:
        raise UnavailableError(
            f"{options.cursor_topic} could not be read to its end in {options.delivery_timeout:.0f} s:"
            " another relay's transaction is still open there, or the broker is slow"
        ) from error
    finally:
        await asyncio.gather(committed.stop(), everything.stop())
    return {keys[key]: _position(value, identity) for key, value in found.items() if key in keys}


async def _require_topic(consumer: AIOKafkaConsumer, topic: str) -> None:
    """Raise :class:`UnavailableError` unless ``topic`` has a partition for each group."""
    partitions = consumer.partitions_for_topic(topic)
    if not partitions:
        consumer._client.add_topic(topic)
        await consumer._client.force_metadata_update()
        partitions = consumer.partitions_for_topic(topic)
    if len(partitions or ()) < GROUPS:
        raise UnavailableError(
            f"the relay's transactions need the topic {topic} with {GROUPS} partitions, compacted: run"
            " `tidegate topics apply`"
        )


async def _read(
    consumer: AIOKafkaConsumer,
    starts: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    found: dict[bytes, bytes],
) -> None:
    """Note the last value of each key between ``starts`` and ``ends``."""
    for place, start in starts.items():
        consumer.seek(place, start)
    left = {place for place in starts if starts[place] < ends[place]}
    while left:
        for records in (await consumer.getmany(timeout_ms=20)).values():
            found.update((record.key, record.value) for record in records if record.key and record.value)
        left = {place for place in left if await consumer.position(place) < ends[place]}


def _position(value: bytes, identity: ClusterIdentity) -> Position:
    try:
        position = Position.from_bytes(value)
    except (ValueError, KeyError, TypeError) as error:
        raise PublisherBrokenError(f"a position in Kafka cannot be read: {value[:200]!r}") from error
    theirs, ours = position.identity, identity
    if (theirs.system_identifier, theirs.database_oid) != (ours.system_identifier, ours.database_oid):
        raise RelayRefusedError(
            f"Kafka has positions of generation {theirs.generation} from another database (system"
            f" {theirs.system_identifier}, database {theirs.database_oid}): one of the two is a copy; run"
            " `tidegate outbox adopt` in the one that shall go on, and drop the schema outbox in the other"
        )
    return position
