"""Claims about the manifest of topics, and about what is decided from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from infra.errors import InvalidInputError, MisuseError, UnavailableError
from infra.settings import KafkaSettings
from infra.topics import Drift, FoundTopic, Topic, apply_topics, dlq_of, load, plan
from schemas.catalog import Catalog

ORDERS = next(topic for topic in load() if topic.name == "oms.orders")


def found(topic: Topic) -> FoundTopic:
    """The topic on a broker, just as it should be."""
    return FoundTopic(topic.partitions, topic.config)


def test_manifest_holds_every_topic_of_the_design() -> None:
    """The twelve topics and the cursors are there, order topics with twelve partitions."""
    names = {topic.name: topic for topic in load() if not topic.name.endswith(".dlq")}
    assert set(names) == {
        *("oms.orders", "oms.carts", "oms.checkouts", "oms.returns", "fraud.decisions", "payments.payments"),
        *("ims.allocations", "ims.stock", "wms.warehouse", "sms.shipments"),
        *("platform.operations", "tidegate.alerts", "tidegate.outbox-cursors"),
    }
    for name in ("oms.orders", "ims.allocations", "ims.stock", "wms.warehouse", "sms.shipments"):
        assert names[name].partitions == 12
        assert names[name].replication == 1


def test_dead_letters_stand_beside_each_topic_that_the_bridge_reads() -> None:
    """Each is there, behind its topic, and dead letters stay longer than records."""
    topics = {topic.name: topic for topic in load()}
    for topic in topics.values():
        assert (dlq_of(topic.name) in topics) is topic.dead_letters
    assert topics["oms.orders.dlq"].retention_ms > topics["oms.orders"].retention_ms


def test_every_topic_with_events_is_in_the_manifest_with_their_key() -> None:
    """A topic of the catalog cannot be forgotten, and key fields agree."""
    topics = {topic.name: topic for topic in load()}
    for event in Catalog.load().events:
        assert topics[event.topic].key == event.key


def test_missing_topic_is_created() -> None:
    """What the broker lacks is created, and nothing else."""
    assert plan([ORDERS], {"something.else": FoundTopic(1, {})}).create == (ORDERS,)


def test_topic_as_it_should_be_needs_nothing() -> None:
    """Planning again after applying finds nothing to do."""
    todo = plan(load(), {topic.name: found(topic) for topic in load()})
    assert (todo.create, todo.raise_partitions, todo.drift) == ((), (), ())


def test_fewer_partitions_are_drift_and_could_be_raised() -> None:
    """Too few partitions are reported, and raised only by someone who asks for it."""
    todo = plan([ORDERS], {"oms.orders": replace(found(ORDERS), partitions=3)})
    assert todo.raise_partitions == (ORDERS,)
    assert todo.drift == (Drift("oms.orders", "partitions", "12", "3"),)


def test_more_partitions_are_drift_that_nothing_can_undo() -> None:
    """Kafka cannot take partitions away: reported only."""
    todo = plan([ORDERS], {"oms.orders": replace(found(ORDERS), partitions=24)})
    assert todo.raise_partitions == ()
    assert todo.drift == (Drift("oms.orders", "partitions", "12", "24"),)


def test_changed_retention_is_drift() -> None:
    """A setting changed by hand on the broker is told with both values."""
    there = FoundTopic(12, {**ORDERS.config, "retention.ms": "1000"})
    assert plan([ORDERS], {"oms.orders": there}).drift == (
        Drift("oms.orders", "retention.ms", "2592000000", "1000"),
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a manifest"),
        ("topics: {}", "not a manifest"),
        ("{}", "not a manifest"),
        ("a: {key: k, holds: h, partitons: 3}", "a: no setting is called partitons"),
        ("a: {holds: h}", "a: key is missing"),
        ("a: {key: k, holds: h, partitions: 0}", "a: partitions is a whole number above 0"),
        ("a: {key: k, holds: h, retention: forever}", "a: retention is a number with d or h"),
        ("a: {key: k, holds: h, cleanup: burn}", "a: cleanup is delete or compact"),
    ],
)
def test_broken_manifest_is_named(tmp_path: Path, text: str, says: str) -> None:
    """A mistake in the manifest is told with the topic and the setting."""
    path = tmp_path / "topics.yaml"
    head = "defaults: {partitions: 1, replication: 1, retention: 1d, cleanup: delete, max_message: 1000}\n"
    path.write_text(text if "a:" not in text else f"{head}dead_letters: {{}}\ntopics: {{{text}}}")
    with pytest.raises(InvalidInputError, match=says):
        load(path)


async def test_broker_that_is_not_there_is_one_line() -> None:
    """A wrong address is an UnavailableError that names it; no address at all is misuse."""
    with pytest.raises(UnavailableError, match=r"Kafka at 127\.0\.0\.1:1 does not answer"):
        await apply_topics(KafkaSettings(bootstrap_servers="127.0.0.1:1"), load())
    with pytest.raises(MisuseError, match="no Kafka address"):
        await apply_topics(KafkaSettings(), load())
