"""What a group has not finished yet is records, and nothing else."""

from __future__ import annotations

import asyncio
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from infra.settings import KafkaSettings
from tests.outbox_support import make_topic
from tidegate.lag import GroupLag


async def test_marks_of_transactions_are_no_lag(bootstrap_servers: str, unique: str) -> None:
    """A group that has read every record has no lag, though the log ends with the mark of a transaction."""
    await make_topic(bootstrap_servers, unique, partitions=2)
    brokers: dict[str, Any] = {"bootstrap_servers": bootstrap_servers}
    producer = AIOKafkaProducer(**brokers, transactional_id=unique)
    await producer.start()
    for _ in range(3):
        async with producer.transaction():
            await asyncio.gather(*[await producer.send(unique, b"x", partition=n % 2) for n in range(4)])
    await producer.stop()
    places = [TopicPartition(unique, partition) for partition in range(2)]
    consumer = AIOKafkaConsumer(**brokers, group_id=unique, enable_auto_commit=False)
    await consumer.start()
    consumer.assign(places)
    try:
        async with GroupLag(KafkaSettings(bootstrap_servers=bootstrap_servers), {unique: [unique]}) as lag:
            assert await lag.look() == {unique: 18}, "twelve records and six marks"
            await consumer.commit(dict.fromkeys(places, 7))
            assert await lag.look() == {unique: 4}, "two marks stand between records"
            await consumer.commit(dict.fromkeys(places, 8))
            assert await lag.look() == {unique: 0}
            await consumer.commit(dict.fromkeys(places, 7))
            assert await lag.look(again_soon=True) == {unique: 4}
            await consumer.commit(dict.fromkeys(places, 8))
            assert await lag.look(again_soon=True) == {unique: 2}, (
                "it moves: taken for records until the next look"
            )
            assert await lag.look(again_soon=True) == {unique: 0}
    finally:
        await consumer.stop()
