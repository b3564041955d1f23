"""Claims about a real broker that is brought in line with the manifest."""

from __future__ import annotations

from dataclasses import replace

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from infra.settings import KafkaSettings
from infra.topics import Applied, Drift, Topic, TopicRefusedError, apply_topics, load


@pytest.fixture
def kafka(bootstrap_servers: str) -> KafkaSettings:
    """The session's broker."""
    return KafkaSettings(bootstrap_servers=bootstrap_servers)


@pytest.fixture
def topics(unique: str) -> list[Topic]:
    """Two topics of the test's own, made as oms.orders and its dead letters are."""
    made = [topic for topic in load() if topic.name in {"oms.orders", "oms.orders.dlq"}]
    return [replace(topic, name=f"{topic.name}.{unique}", partitions=3) for topic in made]


async def test_missing_topics_are_created_once(kafka: KafkaSettings, topics: list[Topic]) -> None:
    """The first time creates both, the second finds both as they should be."""
    names = tuple(topic.name for topic in topics)
    assert await apply_topics(kafka, topics) == Applied(names, (), (), 0)
    assert await apply_topics(kafka, topics) == Applied((), (), (), 2)


async def test_dry_run_creates_nothing(kafka: KafkaSettings, topics: list[Topic]) -> None:
    """It says what it would do; the next one finds the same left to do."""
    said = await apply_topics(kafka, topics, dry_run=True)
    assert said.created == tuple(topic.name for topic in topics)
    assert await apply_topics(kafka, topics, dry_run=True) == said


async def test_partitions_are_raised_only_when_asked(kafka: KafkaSettings, topics: list[Topic]) -> None:
    """More partitions in the manifest are drift, until someone says --raise-partitions."""
    await apply_topics(kafka, topics)
    more = [replace(topics[0], partitions=5)]
    drift = Drift(topics[0].name, "partitions", "5", "3")
    assert await apply_topics(kafka, more) == Applied((), (), (drift,), 0)
    assert await apply_topics(kafka, more) == Applied((), (), (drift,), 0)
    assert await apply_topics(kafka, more, raise_partitions=True) == Applied((), (topics[0].name,), (), 0)
    assert await apply_topics(kafka, more) == Applied((), (), (), 1)


async def test_setting_that_differs_is_reported_and_left(kafka: KafkaSettings, topics: list[Topic]) -> None:
    """Retention on the broker is not touched: someone may have had a reason."""
    await apply_topics(kafka, topics)
    shorter = [replace(topics[0], retention_ms=3_600_000)]
    drift = Drift(topics[0].name, "retention.ms", "3600000", "2592000000")
    for _ in range(2):
        assert (await apply_topics(kafka, shorter)).drift == (drift,)


async def test_broker_that_refuses_is_quoted(kafka: KafkaSettings, topics: list[Topic]) -> None:
    """One broker cannot hold three replicas: its own reason is told, with the topic."""
    with pytest.raises(TopicRefusedError, match=f"{topics[0].name}: the broker refused"):
        await apply_topics(kafka, topics[:1], replication=3)


async def test_new_topics_can_be_written_to_at_once(
    kafka: KafkaSettings, topics: list[Topic], bootstrap_servers: str
) -> None:
    """When apply returns, every partition has a leader."""
    await apply_topics(kafka, topics)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        found = {one["topic"]: one["partitions"] for one in await admin.describe_topics()}
    finally:
        await admin.close()
    assert all(partition["leader"] >= 0 for topic in topics for partition in found[topic.name])


async def test_whole_manifest_can_be_applied(kafka: KafkaSettings) -> None:
    """The manifest of this project fits a broker as it comes."""
    await apply_topics(kafka)
    again = await apply_topics(kafka)
    assert (again.created, again.drift) == ((), ())
