"""Where the time of one row goes: the relay's own steps one after the other, in a process of its own.

Its words are ``DSN BROKERS ROWS``: it reads the first rows of the outbox, published or not, as the relay reads a
window, makes batches of them and sends those once more. It answers with microseconds of CPU a row for each step, and
with those that PostgreSQL's process for it took.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import asyncpg
import psutil

from infra.memory import keep_large_blocks, settle_collector
from outbox.batches import BatchWriter, KafkaPage
from outbox.cursor import Cohort, Cursor
from outbox.options import RelayOptions
from outbox.producers import started_producer
from outbox.shards import GROUPS
from outbox.window import Row, look, pages, prepare


async def measure(dsn: str, brokers: str, wanted: int) -> dict[str, float]:
    """Microseconds of CPU a row, by step."""
    options = RelayOptions()
    connection = await asyncpg.connect(dsn)
    producer: Any = await started_producer({"bootstrap_servers": brokers}, options)
    try:
        await prepare(connection)
        server = psutil.Process(connection.get_server_pid())
        server_began, began = _cpu(server), time.process_time()
        read = [rows async for rows in _first(connection, options, wanted)]
        took, server_took = time.process_time() - began, _cpu(server) - server_began
        count = sum(map(len, read))
        steps = {"postgres": server_took, "read": took}

        writer = BatchWriter(options)
        began = time.process_time()
        written = [await writer.write(producer, rows, ()) for rows in read]
        steps["batches"] = time.process_time() - began

        began = time.process_time()
        for page in written:
            await _send(producer, page)
        steps["send"] = time.process_time() - began
    finally:
        await producer.stop()
        await connection.close()
    return {"rows": count, **{name: 1e6 * seconds / count for name, seconds in steps.items()}}


async def _first(
    connection: asyncpg.Connection[Any], options: RelayOptions, wanted: int
) -> AsyncIterator[Sequence[Row]]:
    cohort = Cohort(frozenset(range(GROUPS)), Cursor().opened(await look(connection)))
    count = 0
    async with aclosing(pages(connection, cohort, options.page_size)) as reading:
        async for rows in reading:
            yield rows
            count += len(rows)
            if count >= wanted:
                return


async def _send(producer: Any, page: KafkaPage) -> None:
    sent = [
        await producer.send_batch(chunk.batch, lane.topic, partition=lane.partition)
        for lane in page.lanes
        for chunk in lane.chunks
    ]
    await asyncio.gather(*sent)


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    settle_collector(young=50_000)  # as the command does
    keep_large_blocks()
    print(json.dumps(asyncio.run(measure(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
