"""The tables that the operations know are the tables that the migrations make."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import MetaData, make_url
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import create_async_engine

import outbox
from infra.migrations import migrate
from services import upstream
from services.ims import tables as ims_tables
from services.oms import tables as oms_tables
from services.sms import tables as sms_tables
from services.upstream import tables as upstream_tables
from services.wms import tables as wms_tables
from tests.services_support import SERVICE_ROOMS

_POSTGRESQL = dialect()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(
    "known",
    [
        oms_tables.metadata,
        ims_tables.metadata,
        wms_tables.metadata,
        sms_tables.metadata,
        upstream_tables.metadata,
    ],
    ids=lambda known: known.schema,
)
async def test_tables_are_what_migrations_make(postgres_dsn: str, known: MetaData) -> None:
    """Every table has the same columns, types, keys and optional columns on both sides."""
    rooms = (outbox.MIGRATIONS, upstream.MIGRATIONS) if known.schema == "upstream" else SERVICE_ROOMS
    made = MetaData(schema=known.schema)
    await asyncio.to_thread(migrate, postgres_dsn, rooms)
    engine = create_async_engine(make_url(postgres_dsn).set(drivername="postgresql+asyncpg"))
    async with engine.connect() as connection:
        await connection.run_sync(made.reflect)
    await engine.dispose()
    assert _described(known) == {
        name: columns
        for name, columns in _described(made).items()
        if name != f"{known.schema}.alembic_version"
    }


def _described(metadata: MetaData) -> dict[str, dict[str, tuple[str, bool, bool]]]:
    return {
        name: {
            column.name: (
                column.type.compile(_POSTGRESQL),
                bool(column.nullable),
                column.primary_key,
            )
            for column in table.columns
        }
        for name, table in metadata.tables.items()
    }
