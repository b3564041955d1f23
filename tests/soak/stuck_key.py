"""A consumer in a process of its own, which handles everything but one key, and then says how much memory it took.

Run as ``python -m tests.soak.stuck_key BOOTSTRAP TOPIC GROUP RECORDS``; the last line of its output is one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys

import psutil
from prometheus_client import CollectorRegistry

from consumers.errors import KeyWaitsError
from consumers.runtime.consumer import KafkaRuntime
from consumers.runtime.metrics import RuntimeMetrics
from consumers.runtime.options import RuntimeOptions
from consumers.runtime.record import ConsumedRecord
from infra.settings import KafkaSettings

STUCK = b"never"
_MEGABYTE = 1024 * 1024


async def consume(bootstrap_servers: str, topic: str, group: str, records: int) -> dict[str, float]:
    """Handle ``records`` records of keys that are not stuck; megabytes held after a tenth of them, at the end, at
    most."""
    handled, done = 0, asyncio.Event()
    resident: list[float] = []

    async def handle(record: ConsumedRecord) -> None:
        nonlocal handled
        if record.key == STUCK:
            raise KeyWaitsError("it never makes progress")
        handled += 1
        if handled % (records // 1000) == 0:
            resident.append(psutil.Process().memory_info().rss / _MEGABYTE)
        if handled == records:
            done.set()

    runtime = KafkaRuntime(
        KafkaSettings(bootstrap_servers=bootstrap_servers),
        [topic],
        handle,
        RuntimeOptions(group_id=group),
        RuntimeMetrics(CollectorRegistry()),
    )
    stop = asyncio.Event()
    running = asyncio.create_task(runtime.run(stop))
    await asyncio.wait({running, asyncio.create_task(done.wait())}, return_when=asyncio.FIRST_COMPLETED)
    stop.set()
    await running
    return {
        "handled": handled,
        "early_mb": resident[len(resident) // 10],
        "late_mb": resident[-1],
        "peak_mb": max(resident),
    }


if __name__ == "__main__":
    _, servers, name, member_of, count = sys.argv
    print(json.dumps(asyncio.run(consume(servers, name, member_of, int(count)))))
