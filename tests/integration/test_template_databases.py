"""A database that tests begin with is a copy of one that was migrated: it is as if it had been migrated itself."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from infra.migrations import migrate
from outbox.identity import identify
from tests.template_databases import PREFIX, drop_templates, migrate_empty
from tidegate.bootstrap import MAIN_ROOMS, UPSTREAM_ROOMS

ROOMS = tuple(dict.fromkeys((*MAIN_ROOMS, *UPSTREAM_ROOMS)))

_COLUMNS = """
SELECT table_schema, table_name, column_name, data_type, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = ANY ($1) ORDER BY 1, 2, 3
"""


async def test_a_copy_is_what_the_migrations_make(postgres_dsn: str, upstream_dsn: str) -> None:
    """The same columns, and the same rows in every table, save that it knows itself for another database."""
    await asyncio.to_thread(migrate, postgres_dsn, ROOMS)
    await migrate_empty(upstream_dsn, ROOMS)
    made, copied = await _contents(postgres_dsn), await _contents(upstream_dsn)
    assert {room.schema for room in ROOMS} == {column["table_schema"] for column in copied["columns"]}
    identities = [found.pop("identity") for found in (made, copied)]
    assert copied == made
    assert identities[0].generation != identities[1].generation
    assert identities[0].database_oid != identities[1].database_oid


async def test_two_copies_have_generations_of_their_own(postgres_dsn: str, upstream_dsn: str) -> None:
    """Made at once of one template, two databases are two to a relay."""
    await asyncio.gather(migrate_empty(postgres_dsn, ROOMS), migrate_empty(upstream_dsn, ROOMS))
    first, second = await _contents(postgres_dsn), await _contents(upstream_dsn)
    assert first["identity"].generation != second["identity"].generation


async def test_templates_can_be_dropped(postgres_dsn: str) -> None:
    """None stays on a server that does not end with the tests; their copies do, and the next test makes them anew."""
    await migrate_empty(postgres_dsn, ROOMS)
    assert await _templates(postgres_dsn) > 0
    await drop_templates(postgres_dsn)
    assert await _templates(postgres_dsn) == 0
    assert (await _contents(postgres_dsn))["columns"]
    await migrate_empty(postgres_dsn, ROOMS)
    assert (await _contents(postgres_dsn))["columns"]


async def _templates(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        count: int = await connection.fetchval(
            "SELECT count(*) FROM pg_database WHERE starts_with(datname, $1)", PREFIX
        )
    finally:
        await connection.close()
    return count


async def _contents(dsn: str) -> dict[str, Any]:
    connection = await asyncpg.connect(dsn)
    try:
        columns = [dict(row) for row in await connection.fetch(_COLUMNS, [room.schema for room in ROOMS])]
        rows = {}
        for table in sorted({f'{column["table_schema"]}."{column["table_name"]}"' for column in columns}):
            if table != 'outbox."generation"':
                query = f"SELECT to_jsonb(t)::text AS row FROM {table} AS t ORDER BY 1"
                rows[table] = [row["row"] for row in await connection.fetch(query)]
        return {"columns": columns, "rows": rows, "identity": await identify(connection)}
    finally:
        await connection.close()
