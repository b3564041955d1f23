"""Other teams write to the order topics with a plain Kafka client: a key, a value, nothing else (design §4)."""

from __future__ import annotations

import asyncio
import importlib
import secrets
import warnings
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Producer

from consumers.bridge.reading import RecordReader
from consumers.replay.selection import Selection
from consumers.replay.source import KafkaSource
from consumers.runtime.record import ConsumedRecord
from infra.ids import derived_id, order_id_of
from infra.settings import KafkaSettings, RegistrySettings, Settings
from schemas.catalog import Catalog, canonical
from schemas.events import OrderSubmitted
from tidegate.wiring.bridge import cluster_id_of
from tidegate.wiring.schemas import open_schemas

with warnings.catch_warnings():
    importlib.import_module("authlib.deprecate")  # before the filter: see schemas/registry_client.py
    warnings.simplefilter("ignore")
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

PARTITIONS = 12
ORDERED_AT = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


async def make_topic(bootstrap_servers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1)])
    await admin.close()


def order(request_id: str) -> dict[str, Any]:
    return {
        "order_id": order_id_of(request_id),
        "request_id": request_id,
        "customer_id": "c-1",
        "currency": "EUR",
        "ordered_at": ORDERED_AT,
        "lines": [
            {"sku": "A-1", "quantity": 2, "unit_price": Decimal("9.90"), "discount": Decimal("0.1000")}
        ],
    }


async def read(bootstrap_servers: str, topic: str) -> list[ConsumedRecord]:
    source = KafkaSource(KafkaSettings(bootstrap_servers=bootstrap_servers))
    return [record async for batch in source.read(Selection(topic=topic)) for record in batch]


async def test_a_record_with_only_key_and_value_is_an_event(
    bootstrap_servers: str, registry_url: str, unique: str
) -> None:
    """Type by schema id, id by cluster, topic, partition and offset, time by the record: the same for every reader."""
    topic = f"oms.orders-{unique}"
    await make_topic(bootstrap_servers, topic)
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap_servers), registry=RegistrySettings(url=registry_url)
    )
    schemas = await open_schemas(settings)
    submission = order(f"foreign-{unique}")

    schema = Catalog.load().of("OrderSubmitted")

    def produce() -> None:
        with SchemaRegistryClient({"url": registry_url}) as registry:
            serialize = AvroSerializer(
                registry,
                canonical(schema.schema),
                conf={"auto.register.schemas": False, "subject.name.strategy": lambda *_: schema.subject},
            )
            value = serialize(submission, SerializationContext(topic, MessageField.VALUE))
        producer = Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random"})
        producer.produce(topic, key=submission["order_id"], value=value)
        assert producer.flush(30) == 0

    await asyncio.to_thread(produce)
    (record,) = await read(bootstrap_servers, topic)
    cluster_id = await cluster_id_of(settings.kafka)
    reader = RecordReader(schemas.codec, schemas.lookup, cluster_id=cluster_id)
    envelope = await reader.envelope(record)
    event = await reader.event(record, envelope)
    await schemas.close()
    assert isinstance(event, OrderSubmitted)
    assert event.order_id == submission["order_id"]
    assert event.ordered_at == ORDERED_AT
    assert event.lines[0].unit_price == Decimal("9.90")
    assert envelope.type == OrderSubmitted.TYPE
    assert envelope.id == derived_id("foreign", cluster_id, topic, record.partition, record.offset)
    assert abs((envelope.time - datetime.now(UTC)).total_seconds()) < 3600
    assert envelope.sequence is None


async def test_murmur2_random_puts_a_key_where_ours_puts_it(bootstrap_servers: str, unique: str) -> None:
    """The same keys through librdkafka and through aiokafka: one key, one partition."""
    topic = f"keys-{unique}"
    await make_topic(bootstrap_servers, topic)
    keys = [secrets.token_hex(8) for _ in range(60)]

    def theirs() -> None:
        producer = Producer({"bootstrap.servers": bootstrap_servers, "partitioner": "murmur2_random"})
        for key in keys:
            producer.produce(topic, key=key, value=b"theirs")
        assert producer.flush(30) == 0

    async def ours() -> None:
        async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
            for key in keys:
                await producer.send_and_wait(topic, key=key.encode(), value=b"ours")

    await asyncio.to_thread(theirs)
    await ours()
    places: dict[bytes | None, set[int]] = {}
    for record in await read(bootstrap_servers, topic):
        places.setdefault(record.key, set()).add(record.partition)
    assert len(places) == len(keys)
    assert all(len(partitions) == 1 for partitions in places.values())
