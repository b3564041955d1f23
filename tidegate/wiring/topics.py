"""What the broker has of the topics that the outboxes are published to."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.clients.kafka import aiokafka_options, require_bootstrap
from infra.errors import MisuseError, UnavailableError
from infra.settings import KafkaSettings, Settings
from infra.topics import Topic, apply_topics
from tidegate.lag import GroupLag

_log = structlog.get_logger()
_ASK_AGAIN = 5.0


async def warn_of_missing_topics(settings: Settings, topics: Sequence[Topic] | None = None) -> None:
    """Say in the log, once a broker answers, which of ``topics`` it lacks; those of the manifest when not given.

    The relay parks the rows of such a topic and goes on with the rest; to say so at the start is to say it before.
    """
    while True:
        try:
            missing = (await apply_topics(settings.kafka, topics, dry_run=True)).created
        except UnavailableError:
            await asyncio.sleep(_ASK_AGAIN)  # the relay waits for the broker too, and says so
            continue
        if missing:
            _log.warning(
                "topics are missing: run `tidegate topics apply`; their rows are parked until then, and sent by"
                " `tidegate outbox parked retry --all`",
                topics=list(missing),
            )
        return


async def partitions_read_to_their_end(
    settings: Settings, topics: Sequence[str], *, anyway: bool
) -> dict[str, int]:
    """How many partitions each of ``topics`` has.

    Raises :class:`MisuseError` for a topic that the broker does not know and, unless ``anyway``, while a consumer
    group that has committed offsets in one of them has records left to read there.
    """
    try:
        found = await _partitions(settings.kafka, topics)
        for topic in topics:
            if topic not in found:
                raise MisuseError(f"the broker does not know the topic {topic}: see `tidegate topics apply`")
        lag = {} if anyway else await _lag(settings.kafka, topics)
    except (KafkaError, TimeoutError, OSError) as error:
        raise UnavailableError(
            f"Kafka at {require_bootstrap(settings.kafka)} does not answer ({type(error).__name__})"
        ) from error
    for group, records in lag.items():
        if records:
            raise MisuseError(
                f"the consumer group {group} has {records} records left to read in {', '.join(topics)}: let it"
                " finish, or say --anyway"
            )
    return found


async def _partitions(settings: KafkaSettings, topics: Collection[str]) -> dict[str, int]:
    admin = AIOKafkaAdminClient(**aiokafka_options(settings))
    try:
        await admin.start()
        described = await admin.describe_topics()
    finally:
        await admin.close()
    return {one["topic"]: len(one["partitions"]) for one in described if one["topic"] in topics}


async def _lag(settings: KafkaSettings, topics: Collection[str]) -> dict[str, int]:
    admin = AIOKafkaAdminClient(**aiokafka_options(settings))
    groups: dict[str, list[str]] = {}
    try:
        await admin.start()
        for group, *_ in await admin.list_consumer_groups():
            committed = {place.topic for place in await admin.list_consumer_group_offsets(group)}
            if reads := sorted(committed & set(topics)):
                groups[group] = reads
    finally:
        await admin.close()
    if not groups:
        return {}
    async with GroupLag(settings, groups) as lag:
        return await lag.look()
