"""Whole runs of the loop for tests: a stack of their own, real processes, orders in, an audited result out."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from infra.clients.postgres import require_dsn
from infra.local import EVERYTHING, Stack, StackAddresses, StackOptions, running_stack
from infra.settings import Settings
from outbox import Outbox
from schemas.event import Event
from services.orders import OrderSubmission
from services.upstream import Simulation
from services.upstream.generator import generate_orders, generate_stock
from tests.forked import fork_tidegate
from tests.stack import TEST_OPTIONS
from tidegate.bootstrap import process_environment
from tidegate.loop import Loop, running_loop
from tidegate.wiring.schemas import open_schemas
from tidegate.wiring.services import open_services, open_storefront

RUN_SECONDS = 500.0
"""How long a run may take before it counts as stuck; a deadline, not a measurement."""

Shipment = tuple[str, tuple[tuple[str, int], ...]]
"""An order id and its lines, (sku, quantity)."""


@asynccontextmanager
async def loop_on_its_own_stack(
    home: Path,
    *,
    upstream_options: Sequence[str] | None = ("--delay", "0.1"),
    label_options: Sequence[str] = (),
    options: StackOptions = TEST_OPTIONS,
    everything: bool = False,
    registry_url: str | None = None,
) -> AsyncIterator[tuple[Loop, Stack]]:
    """Everything, from empty databases; nothing of it runs afterwards. Options as of :func:`running_loop`.

    ``registry_url`` is a registry to use instead of a new one: ours are the only schemas, whoever registers them.
    """
    given = StackAddresses(registry_url=registry_url)
    async with running_stack(home, EVERYTHING, options, given=given) as stack:
        settings = Settings(home=home)
        async with running_loop(
            settings,
            upstream_options=upstream_options,
            label_options=label_options,
            everything=everything,
        ) as loop:
            yield loop, stack


async def load_ample_stock(settings: Settings) -> None:
    """More of every item than any test orders."""
    async with open_services(settings) as services:
        await services.ims.load("ample", generate_stock(spare=100_000))


async def submit(
    settings: Settings, orders: Sequence[OrderSubmission], simulation: Simulation | None = None
) -> None:
    """Let the storefront take ``orders``."""
    async with open_storefront(settings, simulation) as storefront:
        await storefront.submit(orders)


async def report(settings: Settings, *events: Event) -> None:
    """Let the warehouse floor report ``events``, in this order, through its own outbox."""
    await _append(settings, events, source="/upstream/floor", version=None, upstream=True)


async def append(settings: Settings, event: Event, service: str, version: int) -> None:
    """Put ``event`` into the services' outbox in the name of ``service``, past all its rules."""
    await _append(settings, [event], source=f"/services/{service}", version=version, upstream=False)


async def _append(
    settings: Settings, events: Sequence[Event], *, source: str, version: int | None, upstream: bool
) -> None:
    schemas = await open_schemas(settings)
    connection = await asyncpg.connect(require_dsn(settings.postgres, upstream=upstream))
    try:
        async with connection.transaction():
            for event in events:
                await Outbox(schemas.codec).append(connection, event, source=source, version=version)
    finally:
        await connection.close()
        await schemas.close()


async def tidegate(settings: Settings, *words: str) -> tuple[int, str]:
    """Run the command on the servers of ``settings``; its exit status and what it printed, errors included."""
    process = await fork_tidegate(*words, environment={**os.environ, **process_environment(settings)})
    output, errors = await process.communicate()
    return process.returncode or 0, (errors + output).decode()


async def fetch(settings: Settings, query: str, *arguments: object) -> list[asyncpg.Record]:
    """Rows of the services' database."""
    connection = await asyncpg.connect(require_dsn(settings.postgres))
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()


def some_orders(count: int, seed: int = 1) -> list[OrderSubmission]:
    """Orders of the generator."""
    return list(generate_orders(count, seed))


def shipments_of(orders: Sequence[OrderSubmission]) -> set[Shipment]:
    """What must be shipped when everything that was ordered is."""
    return {
        (order.order_id, tuple(sorted((line.sku, line.quantity) for line in order.lines))) for order in orders
    }


async def shipped(settings: Settings) -> set[Shipment]:
    """What was shipped, by the tables of OMS and SMS."""
    rows = await fetch(
        settings,
        """
        SELECT o.order_id, l.sku, l.quantity
        FROM oms.orders AS o JOIN oms.order_lines AS l USING (order_id) JOIN sms.shipments AS s USING (order_id)
        WHERE o.state = 'SHIPPED' AND s.state = 'CONFIRMED'
        """,
    )
    lines: dict[str, list[tuple[str, int]]] = {}
    for row in rows:
        lines.setdefault(row["order_id"], []).append((row["sku"], row["quantity"]))
    return {(order_id, tuple(sorted(of_order))) for order_id, of_order in lines.items()}
