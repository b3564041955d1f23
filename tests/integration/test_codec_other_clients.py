"""Claims about other teams' clients: what we write they read, what they write we read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from infra.settings import KafkaSettings, RegistrySettings
from infra.topics import apply_topics, load
from schemas.catalog import Catalog, canonical
from schemas.codec import Codec
from schemas.envelope import Envelope
from schemas.events import OrderLine, OrderSubmitted, PickCompleted
from schemas.lookup import SchemaLookup
from schemas.registry import Registry

ORDER = OrderSubmitted(
    order_id="o-1",
    request_id="r-1",
    customer_id="c-1",
    currency="EUR",
    ordered_at=datetime(2026, 11, 21, 9, 30, 0, 5, UTC),
    lines=(OrderLine(sku="A", quantity=2, unit_price=Decimal("19.99"), discount=Decimal("0.15")),),
)


@pytest.fixture
async def registry(registry_url: str, tmp_path: Path) -> AsyncIterator[Registry]:
    """The session's registry, with a cache of the test's own."""
    async with Registry(RegistrySettings(url=registry_url), cache=tmp_path) as opened:
        yield opened


async def test_plain_consumer_with_the_registrys_deserializer_reads_our_events(
    bootstrap_servers: str, registry: Registry, registry_url: str, unique: str
) -> None:
    """confluent-kafka and its AvroDeserializer, knowing nothing of tidegate, get amounts, times and headers."""
    topic = replace(next(one for one in load() if one.name == "oms.orders"), name=f"oms.orders.{unique}")
    await apply_topics(KafkaSettings(bootstrap_servers=bootstrap_servers), [topic])
    codec = Codec(await registry.resolve())
    envelope = Envelope(uuid4(), ORDER.TYPE, "/upstream/storefront", ORDER.key, ORDER.ordered_at, 1)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await producer.send_and_wait(
            topic.name, codec.encode(ORDER), key=ORDER.key.encode(), headers=envelope.to_headers()
        )
    record, key, headers = await asyncio.to_thread(
        _consume, bootstrap_servers, registry_url, topic.name, unique
    )
    assert record == {
        "order_id": "o-1",
        "request_id": "r-1",
        "customer_id": "c-1",
        "currency": "EUR",
        "ordered_at": ORDER.ordered_at,
        "lines": [
            {"sku": "A", "quantity": 2, "unit_price": Decimal("19.99"), "discount": Decimal("0.1500")},
        ],
    }
    assert key == b"o-1"
    assert headers["ce_type"] == b"tidegate.oms.orders.OrderSubmitted"
    assert headers["ce_sequence"] == b"00000000000000000001"


async def test_what_the_registrys_serializer_writes_we_read(registry: Registry, registry_url: str) -> None:
    """A foreign producer with AvroSerializer and TopicRecordNameStrategy writes values that we decode."""
    await registry.resolve()
    codec = Codec(await registry.resolve())
    value = await asyncio.to_thread(
        _serialize,
        registry_url,
        "wms.warehouse",
        canonical(Catalog.load().of("PickCompleted").schema),
        {"order_id": "o-1", "wave_id": None, "picked_at": ORDER.ordered_at},
    )
    event = PickCompleted(order_id="o-1", wave_id=None, picked_at=ORDER.ordered_at)
    assert codec.decode(value) == event
    assert value == codec.encode(event)


async def test_foreign_schema_of_their_own_is_looked_up_and_read(
    registry: Registry, registry_url: str, unique: str
) -> None:
    """A team that registers its own text of the schema, under its own subject, gets another id: it is fetched."""
    lookup = SchemaLookup(Codec(await registry.resolve()), registry)
    theirs = {**Catalog.load().of("PickCompleted").schema, "doc": f"Written by {unique}."}
    value = await asyncio.to_thread(
        _serialize,
        registry_url,
        f"elsewhere.{unique}",
        canonical(theirs),
        {"order_id": "o-1", "wave_id": "w-1", "picked_at": ORDER.ordered_at},
    )
    assert await lookup.type_of(value) == PickCompleted.TYPE
    assert await lookup.decode(value) == PickCompleted(
        order_id="o-1", wave_id="w-1", picked_at=ORDER.ordered_at
    )


def _consume(servers: str, registry_url: str, topic: str, group: str) -> tuple[Any, bytes, dict[str, bytes]]:
    from confluent_kafka import Consumer
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    consumer = Consumer({"bootstrap.servers": servers, "group.id": group, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        message: Any = consumer.poll(60)
        assert message is not None
        assert message.error() is None
        with SchemaRegistryClient({"url": registry_url}) as client:
            deserialize: Any = AvroDeserializer(client)
            record = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
        return record, message.key(), dict(message.headers())
    finally:
        consumer.close()


def _serialize(registry_url: str, topic: str, schema: str, record: dict[str, Any]) -> bytes:
    from confluent_kafka.schema_registry import SchemaRegistryClient, topic_record_subject_name_strategy
    from confluent_kafka.schema_registry.avro import AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

    with SchemaRegistryClient({"url": registry_url}) as client:
        strategy = {"subject.name.strategy": topic_record_subject_name_strategy}
        serialize: Any = AvroSerializer(client, schema, conf=strategy)
        return bytes(serialize(record, SerializationContext(topic, MessageField.VALUE)))
