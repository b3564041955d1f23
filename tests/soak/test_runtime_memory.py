"""Memory stays flat over millions of events, while one key never makes progress."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.runtime_support import runtime_world
from tests.soak.stuck_key import STUCK

PARTITIONS = 8
ALLOWED_MB = 250.0
GROWTH_MB = 40.0


def produce(bootstrap_servers: str, topic: str, records: int) -> None:
    """``records`` records of 10,000 keys for the partitions from 1 on; a twentieth as many more for partition 0, every
    hundredth of them of the key that is stuck."""
    producer: Any = Producer(
        {"bootstrap.servers": bootstrap_servers, "linger.ms": 50, "queue.buffering.max.messages": 500_000}
    )
    headers = [("ce_type", b"Something"), ("ce_id", b"0" * 36)]
    for number in range(records + records // 20):
        if number < records:
            key, partition = b"k%d" % (number % 10_000), 1 + number % (PARTITIONS - 1)
        else:
            key, partition = (STUCK if number % 100 == 0 else b"k%d" % (number % 10_000)), 0
        while True:
            try:
                producer.produce(topic, b"x" * 100, key=key, partition=partition, headers=headers)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(300) == 0


async def consume_apart(bootstrap_servers: str, topic: str, records: int) -> dict[str, float]:
    """What a consumer in a process of its own says of its memory."""
    words = ("-m", "tests.soak.stuck_key", bootstrap_servers, topic, f"g-{topic}", str(records))
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    said: dict[str, float] = json.loads(output.splitlines()[-1])
    return said


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("records", [2_000_000])
async def test_memory_stays_flat_while_one_key_never_makes_progress(
    bootstrap_servers: str, unique: str, records: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two million events handled beside a stuck key: less than 250 MB in all, and no more at the end than after a
    tenth of them, some tens of megabytes aside."""
    async with runtime_world(bootstrap_servers, unique, PARTITIONS) as world:
        await asyncio.to_thread(produce, bootstrap_servers, world.topic, records)
        said = await consume_apart(bootstrap_servers, world.topic, records)
    with capsys.disabled():
        print("\n" + json.dumps(said))
    # What of partition 0 lies below the span is handled besides.
    assert said["handled"] >= records
    assert said["peak_mb"] < ALLOWED_MB
    assert said["late_mb"] - said["early_mb"] < GROWTH_MB
