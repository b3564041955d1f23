"""Orders per second through the whole loop, beside the same workflows driven by the Temporal client alone.

``python -m tests.benchmarks.bench_loop [--orders 200] [--json]``; each on servers of its own, one after the other.
The peer runs the same workers on the same services and PostgreSQL: its driver starts the intakes and reports picks and
packs with the Temporal client, as soon as it sees a wave. No relay, no Kafka, no bridge, no analytics.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import asyncpg
import pytest
from temporalio.client import Client

from infra.clients.postgres import require_dsn
from infra.clients.temporal import connect
from infra.local import EVERYTHING, StackOptions, running_stack
from infra.settings import Settings
from services.orders import OrderSubmission
from tests.benchmarks.machine import machine
from tests.loop_runs import load_ample_stock, loop_on_its_own_stack, some_orders, submit
from tidegate.bootstrap import prepare, process_environment
from tidegate.processes import DIRECT_QUEUES, loop_processes
from tidegate.supervisor import Supervisor
from workflows.contracts.orders import (
    ORDER_FULFILLMENT,
    ORDER_INTAKE,
    PACK_COMPLETED,
    PICK_COMPLETED,
    OrderIntakeRequest,
    OrderLineInput,
    PackReport,
    PickReport,
)

DEADLINE = 900.0
_LOOK_EVERY = 0.05
_STARTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; seconds from the first submission to the last order marked shipped."""

    orders: int
    loop_seconds: float
    loop_orders_per_second: float
    client_seconds: float
    client_orders_per_second: float
    ratio: float
    load: float


async def measure(count: int) -> Figures:
    """Both, one after the other, with the same orders."""
    client_seconds = await _client_alone(some_orders(count))
    loop_seconds = await _whole_loop(some_orders(count))
    return Figures(
        orders=count,
        loop_seconds=round(loop_seconds, 1),
        loop_orders_per_second=round(count / loop_seconds, 2),
        client_seconds=round(client_seconds, 1),
        client_orders_per_second=round(count / client_seconds, 2),
        ratio=round(client_seconds / loop_seconds, 2),
        load=round(os.getloadavg()[0], 1),
    )


async def _whole_loop(orders: Sequence[OrderSubmission]) -> float:
    with _home() as home:
        async with loop_on_its_own_stack(
            Path(home), upstream_options=("--delay", "0"), options=StackOptions()
        ) as (loop, _):
            await load_ample_stock(loop.settings)
            await _warm(loop.settings, some_orders(2, seed=99))
            begin = time.perf_counter()
            await submit(loop.settings, orders)
            await _shipped(loop.settings, len(orders) + 2)
            return time.perf_counter() - begin


async def _warm(settings: Settings, orders: Sequence[OrderSubmission]) -> None:
    """Until every process has done each of its steps once."""
    await submit(settings, orders)
    await _shipped(settings, len(orders))


async def _client_alone(orders: Sequence[OrderSubmission]) -> float:
    with _home() as home:
        async with _workers_alone(Path(home)) as settings:
            await load_ample_stock(settings)
            client = await connect(settings.temporal)
            await _drive(client, settings, some_orders(2, seed=99), already=0)
            begin = time.perf_counter()
            await _drive(client, settings, orders, already=2)
            return time.perf_counter() - begin


@asynccontextmanager
async def _workers_alone(home: Path) -> AsyncIterator[Settings]:
    async with running_stack(home, EVERYTHING, StackOptions()):
        settings = Settings(home=home)
        await prepare(settings)
        workers = [
            spec
            for spec in loop_processes(settings.home, queues=DIRECT_QUEUES)
            if spec.name.startswith("worker-")
        ]
        supervisor = Supervisor(workers, log_folder=home / "logs", environment=process_environment(settings))
        await supervisor.start()
        try:
            yield settings
        finally:
            await supervisor.stop()


async def _drive(
    client: Client, settings: Settings, orders: Sequence[OrderSubmission], *, already: int
) -> None:
    """Start every intake, then report each wave picked and packed, until all orders are shipped."""
    starting = asyncio.Semaphore(_STARTS_AT_ONCE)

    async def start(order: OrderSubmission) -> None:
        async with starting:
            await client.start_workflow(
                ORDER_INTAKE.name,
                _request(order),
                id=ORDER_INTAKE.workflow_id(request_id=order.request_id),
                task_queue=ORDER_INTAKE.queue,
            )

    async def report(order_id: str) -> None:
        handle = client.get_workflow_handle(ORDER_FULFILLMENT.workflow_id(order_id=order_id))
        await handle.signal(PICK_COMPLETED.name, PickReport(order_id))
        await handle.signal(PACK_COMPLETED.name, PackReport(order_id))

    connection = await asyncpg.connect(require_dsn(settings.postgres))
    try:
        reported: set[str] = {
            row["order_id"] for row in await connection.fetch("SELECT order_id FROM wms.waves")
        }
        async with asyncio.TaskGroup() as group:
            for order in orders:
                group.create_task(start(order))
            wanted = len(reported) + len(orders)
            while len(reported) < wanted:
                waves = {row["order_id"] for row in await connection.fetch("SELECT order_id FROM wms.waves")}
                for order_id in waves - reported:
                    group.create_task(report(order_id))
                reported |= waves
                await asyncio.sleep(_LOOK_EVERY)
    finally:
        await connection.close()
    await _shipped(settings, already + len(orders))


def _request(order: OrderSubmission) -> OrderIntakeRequest:
    return OrderIntakeRequest(
        order_id=order.order_id,
        request_id=order.request_id,
        customer_id=order.customer_id,
        currency=order.currency,
        ordered_at=order.ordered_at.isoformat(),
        lines=tuple(
            OrderLineInput(line.sku, line.quantity, str(line.unit_price), str(line.discount))
            for line in order.lines
        ),
    )


async def _shipped(settings: Settings, count: int) -> None:
    connection = await asyncpg.connect(require_dsn(settings.postgres))
    deadline = time.monotonic() + DEADLINE
    try:
        while await connection.fetchval("SELECT count(*) FROM oms.orders WHERE state = 'SHIPPED'") < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"not {count} orders shipped within {DEADLINE:g} s")
            await asyncio.sleep(_LOOK_EVERY)
    finally:
        await connection.close()


def _home() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tidegate-bench-")


@pytest.mark.benchmark
async def test_loop(capsys: pytest.CaptureFixture[str]) -> None:
    """The loop ships its orders, and says how many a second beside the client alone."""
    figures = await measure(200)
    with capsys.disabled():
        report(figures)


def report(figures: Figures) -> None:
    """Print the figures and the machine."""
    print(f"\norders through the loop, on {machine()}, load {figures.load:.1f}")
    for name, value in asdict(figures).items():
        print(f"  {name:28} {value}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    figures = asyncio.run(measure(arguments.orders))
    report(figures)
    if arguments.json:
        print(json.dumps(asdict(figures)))


if __name__ == "__main__":
    main()
