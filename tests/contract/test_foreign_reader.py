"""Other teams read the order topics with a plain Kafka client and the registry's own deserialiser."""

from __future__ import annotations

import asyncio
import importlib
import warnings
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from confluent_kafka import Consumer, KafkaError, Message

from infra.settings import KafkaSettings, RegistrySettings, Settings
from schemas.events import OrderLine
from tests.analytics_support import START, history
from tidegate.wiring.schemas import open_schemas

with warnings.catch_warnings():
    importlib.import_module("authlib.deprecate")  # before the filter: see schemas/registry_client.py
    warnings.simplefilter("ignore")
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer
    from confluent_kafka.serialization import MessageField, SerializationContext


def read_all(bootstrap_servers: str, topic: str, group: str, count: int) -> Iterator[Message]:
    """``count`` messages from the beginning, with librdkafka and nothing of ours."""
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": group, "auto.offset.reset": "earliest"}
    )
    consumer.subscribe([topic])
    try:
        left = count
        for _ in range(60):
            message = consumer.poll(1.0)
            if message is None:
                continue
            error = message.error()
            assert error is None or error.code() == KafkaError._PARTITION_EOF, error
            yield message
            left -= 1
            if left == 0:
                return
        raise AssertionError(f"{left} of {count} messages did not come")
    finally:
        consumer.close()


async def test_a_plain_consumer_with_the_registry_deserialiser_reads_every_order_event(
    bootstrap_servers: str, registry_url: str, unique: str
) -> None:
    """Values are what was published: decimals as decimals, times in UTC, lines as a list; keys and headers are text."""
    topic = f"oms.orders-{unique}"
    settings = Settings(
        kafka=KafkaSettings(bootstrap_servers=bootstrap_servers), registry=RegistrySettings(url=registry_url)
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 2, 1)])
    await admin.close()
    line = OrderLine(sku="A-1", quantity=3, unit_price=Decimal("12.34"), discount=Decimal("0.15"))
    told = [
        one
        for end in ("shipped", "failed", "cancelled")
        for one in history(f"{unique}-{end}", (line,), end=end)
    ]
    schemas = await open_schemas(settings)
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        for one in told:
            await producer.send_and_wait(
                topic,
                key=one.event.key.encode(),
                value=schemas.codec.encode(one.event),
                headers=one.envelope.to_headers(),
            )
    await schemas.close()

    def foreign() -> list[tuple[str, dict[str, str], Any]]:
        with SchemaRegistryClient({"url": registry_url}) as registry:
            return decoded(AvroDeserializer(registry))

    def decoded(deserialize: AvroDeserializer) -> list[tuple[str, dict[str, str], Any]]:
        return [
            (
                text(message.key()),
                {str(name): text(value) for name, value in list(message.headers() or [])},
                deserialize(message.value(), SerializationContext(topic, MessageField.VALUE)),
            )
            for message in read_all(bootstrap_servers, topic, f"foreign-{unique}", len(told))
        ]

    def text(raw: Any) -> str:
        assert isinstance(raw, bytes)
        return raw.decode()

    read = await asyncio.to_thread(foreign)
    assert len(read) == len(told)
    by_id = {headers["ce_id"]: (key, headers, value) for key, headers, value in read}
    for one in told:
        key, headers, value = by_id[str(one.envelope.id)]
        assert key == one.event.key == value["order_id"]
        assert headers["ce_type"] == type(one.event).TYPE
        assert headers["ce_specversion"] == "1.0"
        assert headers["ce_sequence"] == f"{one.envelope.sequence:020d}"
        assert headers["content-type"] == "application/avro"
        assert headers["id"] == headers["ce_id"]
    submitted = next(value for _, headers, value in read if headers["ce_type"].endswith("OrderSubmitted"))
    assert submitted["lines"] == [
        {"sku": "A-1", "quantity": 3, "unit_price": Decimal("12.34"), "discount": Decimal("0.1500")}
    ]
    shipped = next(value for _, headers, value in read if headers["ce_type"].endswith("OrderShipped"))
    assert (shipped["shipped_at"] - START).total_seconds() == 3 * 3600
