"""Rows that are written while a relay runs: how soon each can be read, and how many the writers commit."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.benchmarks.delays import Delays
from tests.benchmarks.processes import Running
from tests.benchmarks.relay.contenders import Contender
from tests.benchmarks.relay.draining import PARTITIONS
from tests.benchmarks.relay.servers import PGBENCH, SQL, Ground

_WRITERS = 8
_ARRIVAL = 20.0
"""Seconds that the last record is waited for."""


async def delays(
    ground: Ground, contender: Contender, topic: str, *, per_second: int, seconds: float, warm: float
) -> Delays:
    """Write ``per_second`` rows a second for ``warm`` + ``seconds`` seconds beside a running relay, one a
    transaction; the delays of those after ``warm``.

    Raises RuntimeError where a row has not arrived, or the writers did not keep the rate.
    """
    await contender.make_ready(ground)
    async with contender.running(ground) as running, reading(ground, topic, contender.isolation) as received:
        await until_it_publishes(ground, contender, topic)
        await pgbench(ground, contender.layout, topic, seconds=warm, per_second=per_second)
        return await _delays(
            ground, contender, running, topic, received, per_second=per_second, seconds=seconds
        )


@dataclass(frozen=True, slots=True)
class Held:
    """What a transaction that stays open does to the others: their delays without it and with it, and its own row's
    delay from its own commit, in milliseconds."""

    without: Delays
    beside: Delays
    own: float


async def held_back(
    ground: Ground, contender: Contender, topic: str, *, per_second: int, seconds: float
) -> Held:
    """Write ``per_second`` rows a second for ``seconds`` seconds, and once more while a transaction that has written a
    row stays open; then commit that."""
    await contender.make_ready(ground)
    async with contender.running(ground) as running, reading(ground, topic, contender.isolation) as received:
        await until_it_publishes(ground, contender, topic)
        await pgbench(ground, contender.layout, topic, seconds=2, per_second=per_second)
        without = await _delays(
            ground, contender, running, topic, received, per_second=per_second, seconds=seconds
        )
        other = await asyncpg.connect(ground.dsn)
        try:
            transaction = other.transaction()
            await transaction.start()
            own = str(await other.fetchval(SQL["write_held"], topic))
            beside = await _delays(
                ground, contender, running, topic, received, per_second=per_second, seconds=seconds
            )
            await transaction.commit()
        finally:
            await other.close()
        await _all_arrived(running, [own], received)
        commits = await committed(ground, contender.layout, topic)
    return Held(without, beside, 1000 * (received[own] - commits[own]))


async def _delays(
    ground: Ground,
    contender: Contender,
    running: Running,
    topic: str,
    received: Mapping[str, float],
    *,
    per_second: int,
    seconds: float,
) -> Delays:
    """The delays of rows that are written now."""
    known = await committed(ground, contender.layout, topic)
    await pgbench(ground, contender.layout, topic, seconds=seconds, per_second=per_second)
    every = await committed(ground, contender.layout, topic)
    commits = {one: at for one, at in every.items() if one not in known}
    await _all_arrived(running, commits, received)
    if len(commits) < 0.8 * per_second * seconds:
        raise RuntimeError(f"{len(commits) / seconds:.0f} rows/s were written instead of {per_second}")
    return Delays.of([received[one] - at for one, at in commits.items()])


async def _all_arrived(running: Running, ids: Collection[str], received: Mapping[str, float]) -> None:
    end = time.monotonic() + _ARRIVAL
    while missing := sum(one not in received for one in ids):
        running.check()
        if time.monotonic() > end:
            raise RuntimeError(f"{missing} rows did not arrive within {_ARRIVAL:g} s")
        await asyncio.sleep(0.05)


@asynccontextmanager
async def reading(ground: Ground, topic: str, isolation: str) -> AsyncIterator[dict[str, float]]:
    """The moment (seconds since 1970) at which each record of ``topic`` was first had, by its id; it grows."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=ground.brokers, fetch_max_wait_ms=100, isolation_level=isolation
    )
    await consumer.start()
    consumer.assign([TopicPartition(topic, partition) for partition in range(PARTITIONS)])
    await consumer.seek_to_beginning()
    received: dict[str, float] = {}

    async def read() -> None:
        while True:
            batches = await consumer.getmany(timeout_ms=500)
            now = time.time()
            for records in batches.values():
                for record in records:
                    received.setdefault(_identity(record), now)

    task = asyncio.create_task(read())
    try:
        yield received
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await consumer.stop()


async def until_it_publishes(
    ground: Ground, contender: Contender, topic: str, patience: float = 90.0
) -> None:
    """Return once a row of ``topic`` that was committed just now has arrived."""
    await pgbench(ground, contender.layout, topic, transactions=1)
    consumer = AIOKafkaConsumer(bootstrap_servers=ground.brokers, isolation_level=contender.isolation)
    await consumer.start()
    try:
        places = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        end = time.monotonic() + patience
        while not sum((await consumer.end_offsets(places)).values()):
            if time.monotonic() > end:
                raise TimeoutError(f"{contender.name} published nothing within {patience:g} s")
            await asyncio.sleep(0.05)
    finally:
        await consumer.stop()


async def committed(ground: Ground, layout: str, topic: str) -> dict[str, float]:
    """When each row of ``topic`` was committed, seconds since 1970, by its id."""
    rows = await ground.connection.fetch(SQL[f"commits_{layout}"], topic)
    return {row["id"]: row["at"] for row in rows}


async def pgbench(
    ground: Ground,
    layout: str,
    topic: str,
    *,
    seconds: float | None = None,
    transactions: int | None = None,
    per_second: int | None = None,
) -> float:
    """Write rows of ``topic`` from eight connections; transactions a second, as pgbench counts them."""
    script = ground.home / f"{layout}.pgbench"
    script.write_text("\\set n random(0, 999)\n" + SQL[f"write_{layout}"] + "\n")
    clients = 1 if transactions else _WRITERS
    command = [
        *(
            str(PGBENCH),
            "--no-vacuum",
            "--protocol=prepared",
            "--file",
            str(script),
            "--define",
            f"topic={topic}",
        ),
        *("--client", str(clients), "--jobs", "1"),
        *(["--time", f"{math.ceil(seconds)}"] if seconds else ["--transactions", str(transactions)]),
        *(["--rate", str(per_second)] if per_second else []),
        ground.dsn,
    ]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        said, complaints = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = re.search(rb"tps = ([0-9.]+)", said)
    if process.returncode != 0 or found is None:
        raise RuntimeError(f"pgbench: {complaints.decode(errors='replace').strip()[-400:]}")
    return float(found[1])


def _identity(record: Any) -> str:
    for name, value in record.headers:
        if name == "id":
            return str(value.decode())
    raise RuntimeError("a record without an id")
