"""Gathers the evidence of a run from PostgreSQL, Kafka and Temporal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from temporalio.client import Client

from consumers.bridge.reading import PoisonedError, RecordReader
from consumers.bridge.routes import ROUTES
from consumers.replay.selection import Selection
from consumers.replay.source import KafkaSource
from consumers.runtime.record import ConsumedRecord
from infra.clients.postgres import open_connection
from infra.clients.temporal import connect
from infra.queries import load
from infra.settings import Settings
from infra.topics import load as load_topics
from tidegate.audit.evidence import Evidence, LedgerEntry, OutboxRow, Record
from tidegate.audit.money import OrderMoney, ProviderBooks
from tidegate.wiring.bridge import cluster_id_of
from tidegate.wiring.schemas import open_schemas
from workflows.contracts.checkout import CHECKOUT
from workflows.contracts.orders import ORDER_INTAKE

_SQL = load(__file__, "collect.sql")
_READ_AT_ONCE = 5_000


async def collect_evidence(settings: Settings) -> Evidence:
    """Read everything that the audit looks at.

    Rows are read before records and records before the ledger, and the caller sees to it that nothing is in
    flight: what is still on its way would look lost.
    """
    async with (
        open_connection(settings.postgres) as main,
        open_connection(settings.postgres, upstream=True) as upstream,
    ):
        rows = (*await _rows("services", main), *await _rows("upstream", upstream))
        submitted = await upstream.fetch(_SQL["submissions"])
        records = tuple([record async for record in _records(settings)])
        client = await connect(settings.temporal)
        return Evidence(
            rows=rows,
            records=records,
            ledger=tuple(LedgerEntry(**dict(row)) for row in await main.fetch(_SQL["ledger"])),
            waiting_events=frozenset(row["event_id"] for row in await main.fetch(_SQL["parked"])),
            submissions={row["request_id"]: row["order_id"] for row in submitted},
            workflows=await _workflow_ids(client),
            effects={
                (row["what"], row["order_id"]): row["times"] for row in await main.fetch(_SQL["effects"])
            },
            money=tuple(OrderMoney(**row) for row in await main.fetch(_SQL["money"])),
            books=await _books(main, upstream),
        )


async def _books(
    main: asyncpg.Connection[Any], upstream: asyncpg.Connection[Any]
) -> tuple[ProviderBooks, ...]:
    """The books of the simulated provider; empty where another one is asked, whose books are not ours to read."""
    if await upstream.fetchval("SELECT to_regclass('provider.authorizations')") is None:
        return ()
    orders = {row["payment_id"]: row["order_id"] for row in await main.fetch(_SQL["payments"])}
    return tuple(
        ProviderBooks(
            order_id=orders.get(row["reference"], f"of payment {row['reference']}"),
            **{name: value for name, value in row.items() if name != "reference"},
        )
        for row in await upstream.fetch(_SQL["books"])
    )


async def _rows(database: str, connection: asyncpg.Connection[Any]) -> list[OutboxRow]:
    return [OutboxRow(database=database, **dict(row)) for row in await connection.fetch(_SQL["rows"])]


async def _workflow_ids(client: Client) -> frozenset[str]:
    query = f'WorkflowType = "{ORDER_INTAKE.name}" OR WorkflowType = "{CHECKOUT.name}"'
    return frozenset([found.id async for found in client.list_workflows(query)])


async def _records(settings: Settings) -> AsyncIterator[Record]:
    """Every record of the topics that hold events, from the beginning to the end as it is now."""
    schemas = await open_schemas(settings)
    try:
        reader = RecordReader(schemas.codec, schemas.lookup, cluster_id=await cluster_id_of(settings.kafka))
        source = KafkaSource(settings.kafka, batch_records=_READ_AT_ONCE)
        for topic in load_topics():
            if topic.name.endswith(".dlq") or topic.holds_state:
                continue
            async for batch in source.read(Selection(topic=topic.name)):
                for record in batch:
                    yield await _seen(reader, record)
    finally:
        await schemas.close()


async def _seen(reader: RecordReader, record: ConsumedRecord) -> Record:
    place: dict[str, Any] = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": record.key.decode(errors="replace") if record.key is not None else None,
    }
    try:
        envelope = await reader.envelope(record)
    except PoisonedError:
        return Record(
            **place,
            event_id=reader.event_id(record),
            type="unreadable",
            source="unknown",
            subject=None,
            sequence=None,
            routed=True,
        )
    return Record(
        **place,
        event_id=envelope.id,
        type=envelope.type,
        source=envelope.source,
        subject=envelope.subject,
        sequence=envelope.sequence,
        routed=any(route.event == envelope.type and route.wants(envelope.extensions) for route in ROUTES),
    )
