"""Tables for a new database, copied from one that the migrations were run on once in this process.

For the tables of several rooms: those of one are made by its migrations in the time that a copy takes. What tests the
migrations themselves calls :func:`infra.migrations.migrate`.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import asyncpg
from sqlalchemy import URL, make_url

import outbox
from infra.migrations import MigrationRoom, migrate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PREFIX: Final = f"template_{secrets.token_hex(4)}"
"""What the templates of this process begin with: those of another may be of other revisions, and go when it ends."""


async def migrate_empty(dsn: str, rooms: Sequence[MigrationRoom]) -> None:
    """Bring the empty database at ``dsn`` to where :func:`~infra.migrations.migrate` brings it.

    It is dropped and made anew as a copy, so nothing may be connected to it; what it held is lost.
    """
    url = make_url(dsn)
    async with _connected(url.set(database="postgres")) as connection:
        template = _name(url, rooms)
        await connection.execute("SELECT pg_advisory_lock(hashtext($1))", template)
        if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", template):
            await _make(connection, url.set(database=template), rooms)
        await connection.execute(f'DROP DATABASE "{url.database}"')
        await connection.execute(f'CREATE DATABASE "{url.database}" TEMPLATE "{template}" STRATEGY FILE_COPY')
    if outbox.MIGRATIONS in rooms:
        async with _connected(url) as connection:
            # which database this is: the relay refuses one that was copied from another, as it should
            await connection.execute(
                "UPDATE outbox.generation SET generation = gen_random_uuid(), database_oid = oid"
                " FROM pg_database WHERE datname = current_database()"
            )


async def drop_templates(dsn: str) -> None:
    """Remove what :func:`migrate_empty` has left on the server of ``dsn``, which does not end with the tests."""
    async with _connected(make_url(dsn).set(database="postgres")) as connection:
        for row in await connection.fetch(
            "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", PREFIX
        ):
            await connection.execute(f'DROP DATABASE "{row["datname"]}"')


def _name(url: URL, rooms: Sequence[MigrationRoom]) -> str:
    """One for each choice of rooms, owner, and day: the migrations make partitions from the day on."""
    choice = [url.username, datetime.now(UTC).date().isoformat(), *(room.schema for room in rooms)]
    return f"{PREFIX}_{hashlib.sha256(repr(choice).encode()).hexdigest()[:16]}"


async def _make(connection: asyncpg.Connection[Any], template: URL, rooms: Sequence[MigrationRoom]) -> None:
    await connection.execute(f'CREATE DATABASE "{template.database}" STRATEGY FILE_COPY')
    try:
        await asyncio.to_thread(migrate, template.render_as_string(hide_password=False), rooms)
    except BaseException:
        await connection.execute(f'DROP DATABASE "{template.database}" WITH (FORCE)')
        raise


@asynccontextmanager
async def _connected(url: URL) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        yield connection
    finally:
        await connection.close()
