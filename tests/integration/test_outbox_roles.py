"""Whoever appends can only append, whoever publishes can only publish, and each can do all of that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import make_url

import outbox
from infra.errors import MisuseError
from infra.migrations import migrate
from outbox import parking
from outbox.errors import RelayRefusedError
from outbox.options import Profile
from outbox.retention import maintain
from outbox.roles import RolesApplied, apply_roles
from outbox.status import outbox_status
from outbox.window import Row
from tests.outbox_support import (
    OUTBOX,
    QUICK,
    Happened,
    RecordingPublisher,
    happened_in,
    make_cursor_topic,
    make_topic,
    relay_through,
    relay_to_kafka,
    running,
    sequence_of,
    with_outbox,
)
from tests.waiting import until

KINDS = ("app", "relay", "reader", "migrator")


@dataclass(frozen=True, slots=True)
class Ground:
    """A database with an outbox and roles, and a login for each role, which has nothing else."""

    dsn: str
    prefix: str
    applied: RolesApplied

    def as_login(self, kind: str) -> str:
        """The address for the login that is a member of this role alone."""
        url = make_url(self.dsn).set(username=f"{self.prefix}_{kind}_login")
        return url.render_as_string(hide_password=False)


@pytest_asyncio.fixture(loop_scope="session")
async def ground(postgres_dsn: str, unique: str) -> AsyncIterator[Ground]:
    """Roles of its own for each test, because roles belong to the whole cluster; gone afterwards."""
    await with_outbox(postgres_dsn)
    prefix = f"t{unique}"
    connection = await asyncpg.connect(postgres_dsn)
    try:
        applied = await apply_roles(connection, prefix=prefix)
        for kind in KINDS:
            await connection.execute(
                f"CREATE ROLE {prefix}_{kind}_login LOGIN; GRANT {prefix}_{kind} TO {prefix}_{kind}_login"
            )
        yield Ground(postgres_dsn, prefix, applied)
    finally:
        roles = [f"{prefix}_{kind}" for kind in KINDS]
        names = ", ".join([*roles, *(f"{role}_login" for role in roles)])
        await connection.execute(f"DROP OWNED BY {names} CASCADE; DROP ROLE {names}")
        await connection.close()


FORBIDDEN = [
    ("app", "SELECT value FROM outbox.events"),
    ("app", "INSERT INTO outbox.events (xid) VALUES ('1')"),
    ("app", "INSERT INTO outbox.events (created_at) VALUES (now())"),
    ("app", "UPDATE outbox.events SET key = key"),
    ("app", "DELETE FROM outbox.events"),
    ("app", "TRUNCATE outbox.events"),
    ("app", "SELECT FROM outbox.events_default"),
    ("app", "INSERT INTO outbox.events_default (key) VALUES ('k')"),
    ("app", "DELETE FROM outbox.identities"),
    ("app", "UPDATE outbox.identities SET event_id = event_id"),
    ("app", "SELECT FROM outbox.cursors"),
    ("app", "DELETE FROM outbox.cursors"),
    ("app", "UPDATE outbox.ownership SET owner = 'me'"),
    ("app", "SELECT FROM outbox.parked"),
    ("app", "UPDATE outbox.topics SET partitions = 1"),
    ("app", "SELECT nextval('outbox.events_id_seq')"),
    ("app", "SELECT outbox.drop_day('events_20200101')"),
    ("app", "CREATE TABLE outbox.mine (a int)"),
    ("relay", "INSERT INTO outbox.events (key) VALUES ('k')"),
    ("relay", "UPDATE outbox.events SET key = key"),
    ("relay", "DELETE FROM outbox.events"),
    ("relay", "TRUNCATE outbox.events"),
    ("relay", "DELETE FROM outbox.events_default"),
    ("relay", "INSERT INTO outbox.identities (event_id) VALUES (gen_random_uuid())"),
    ("relay", "DELETE FROM outbox.identities"),
    ("relay", "UPDATE outbox.cursors SET after = 0"),
    ("relay", "UPDATE outbox.parked SET value = ''"),
    ("relay", "UPDATE outbox.generation SET generation = gen_random_uuid()"),
    ("relay", "ALTER TABLE outbox.events ADD COLUMN a int"),
    ("relay", "DROP TABLE outbox.events_default"),
    ("relay", "CREATE TABLE outbox.mine (a int)"),
    ("reader", "DELETE FROM outbox.parked"),
    ("reader", "UPDATE outbox.ownership SET owner = 'me'"),
    ("reader", "SELECT outbox.drop_day('events_20200101')"),
]


async def test_what_is_not_a_roles_own_is_refused(ground: Ground) -> None:
    """Applications cannot read, change or take back, relays cannot write events, whichever partition they ask;
    also of a day that was made later."""
    assert ground.applied.left == ()
    assert ground.applied.created == tuple(f"{ground.prefix}_{kind}" for kind in KINDS)
    relay = await asyncpg.connect(ground.as_login("relay"))
    day: str = await relay.fetchval(
        "SELECT 'events_' || to_char(current_date + 9, 'YYYYMMDD') FROM outbox.make_day(current_date + 9)"
    )
    await relay.close()
    later = [
        ("app", f"SELECT FROM outbox.{day}"),
        ("app", f"INSERT INTO outbox.{day} (key) VALUES ('k')"),
        ("relay", f"DELETE FROM outbox.{day}"),
        ("relay", f"DROP TABLE outbox.{day}"),
    ]
    for kind in KINDS[:3]:
        connection = await asyncpg.connect(ground.as_login(kind))
        for whose, statement in [*FORBIDDEN, *later]:
            if whose == kind:
                assert await _refused(connection, statement), f"{kind} may: {statement}"
        await connection.close()


async def _refused(connection: asyncpg.Connection, statement: str) -> bool:
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def test_each_role_is_enough_for_its_work(ground: Ground) -> None:
    """Appending under the one role and publishing under the other: rows, a day of later, parking, retry, retention,
    identities, status."""
    writer = await asyncpg.connect(ground.as_login("app"))
    owner = await asyncpg.connect(ground.dsn)
    sent: list[Row] = []
    publisher = RecordingPublisher(sent, refuse=[2])

    def sequences() -> list[int]:
        return sorted(sequence_of(row) for row in sent)

    try:
        await owner.execute("SELECT outbox.make_day(current_date - 20)")
        for version, key in enumerate(["a", "b", "b", "c"], start=1):
            await OUTBOX.append(writer, Happened(about=key), source="/test", version=version)
        identity = uuid4()
        for claimed in (True, False):
            assert claimed is await OUTBOX.append_once(
                writer, Happened(about="d"), event_id=identity, source="/test", version=5
            )
        assert await OUTBOX.exists(writer, identity)
        await owner.execute(
            "UPDATE outbox.events SET created_at = created_at - interval '20 days' WHERE sequence = 1"
        )
        async with running(relay_through([ground.as_login("relay")], lambda: publisher)):
            await until(lambda: sequences() == [1, 4, 5])
            relay = await asyncpg.connect(ground.as_login("relay"))
            await until(lambda: _parked(relay, [2, 3]))
            publisher.refuse.clear()
            assert await parking.retry(relay) == 2
            await until(lambda: sequences() == [1, 2, 3, 4, 5])
        kept = await maintain(relay, days_ahead=9, retention_days=7, identity_days=60)
        assert (kept.made, len(kept.dropped)) == (6, 1)
        await relay.close()
        reader = await asyncpg.connect(ground.as_login("reader"))
        status = await outbox_status(reader)
        assert (status.lag_rows, status.parked) == (0, 0)
        await reader.close()
        migrator = await asyncpg.connect(ground.as_login("migrator"))
        await migrator.execute("ALTER TABLE outbox.events ADD COLUMN note text")
        await migrator.close()
        await asyncio.to_thread(migrate, ground.as_login("migrator"), [outbox.MIGRATIONS])
        await OUTBOX.append(writer, Happened(about="e"), source="/test", version=6)
    finally:
        await writer.close()
        await owner.close()


async def test_transactions_need_no_other_rights(ground: Ground, bootstrap_servers: str, unique: str) -> None:
    """The transactional profile publishes and keeps its cursor under the relay's role too."""
    await make_topic(bootstrap_servers, unique)
    await make_cursor_topic(bootstrap_servers)
    writer = await asyncpg.connect(ground.as_login("app"))
    await OUTBOX.append(writer, happened_in(unique)(about="k"), source="/test", version=1)
    await writer.close()
    reader = await asyncpg.connect(ground.as_login("reader"))
    options = replace(QUICK, profile=Profile.TRANSACTIONAL)
    async with running(relay_to_kafka([ground.as_login("relay")], bootstrap_servers, options=options)):
        await until(lambda: _published(reader))
    await reader.close()


async def _published(connection: asyncpg.Connection) -> bool:
    return (await outbox_status(connection)).lag_rows == 0


async def _parked(connection: asyncpg.Connection, sequences: list[int]) -> bool:
    return [row["sequence"] for row in await parking.parked_rows(connection)] == sequences


async def test_a_relay_that_may_not_relay_says_what_it_lacks(ground: Ground) -> None:
    """The wrong role is refused with what to run, not tried for ever."""
    with pytest.raises(RelayRefusedError, match=r"may not .*GRANT tidegate_relay TO"):
        await relay_through([ground.as_login("app")], lambda: RecordingPublisher([])).run(asyncio.Event())


async def test_two_logins_of_relays_do_not_take_each_others_groups(ground: Ground) -> None:
    """A relay sees that the other one lives, though it runs as somebody else."""
    connection = await asyncpg.connect(ground.dsn)
    second = f"{ground.prefix}_relay_second"
    await connection.execute(f"CREATE ROLE {second} LOGIN; GRANT {ground.prefix}_relay TO {second}")
    other = make_url(ground.dsn).set(username=second).render_as_string(hide_password=False)
    try:
        async with running(relay_through([ground.as_login("relay")], lambda: RecordingPublisher([]))):
            await until(lambda: _owned(connection))
            seeing = await asyncpg.connect(other)
            seen = await seeing.fetchval(
                "SELECT count(*) FROM outbox.ownership AS o JOIN pg_stat_activity AS a ON a.pid = o.backend_pid"
                " WHERE a.backend_start = o.backend_started"
            )
            await seeing.close()
        assert seen == 8
    finally:
        await connection.execute(f"DROP ROLE {second}")
        await connection.close()


async def _owned(connection: asyncpg.Connection) -> bool:
    owned: int = await connection.fetchval("SELECT count(*) FROM outbox.ownership WHERE owner IS NOT NULL")
    return owned == 8


async def test_an_owner_who_may_not_make_roles_is_told_what_to_have_run(
    postgres_dsn: str, unique: str
) -> None:
    """As in a managed PostgreSQL: the statements that are left make the next run complete."""
    prefix, owner = f"m{unique}", f"m{unique}_owner"
    url = make_url(postgres_dsn)
    administrator = await asyncpg.connect(postgres_dsn)
    await administrator.execute(f"CREATE ROLE {owner} LOGIN; ALTER DATABASE {url.database} OWNER TO {owner}")
    dsn = url.set(username=owner).render_as_string(hide_password=False)
    await asyncio.to_thread(migrate, dsn, [outbox.MIGRATIONS])
    connection = await asyncpg.connect(dsn)
    names = ", ".join([*(f"{prefix}_{kind}" for kind in KINDS), owner])
    try:
        first = await apply_roles(connection, prefix=prefix)
        assert first == RolesApplied(
            roles=(),
            created=(),
            left=(
                *(f"CREATE ROLE {prefix}_{kind} NOLOGIN" for kind in KINDS),
                f"GRANT pg_read_all_stats TO {prefix}_relay",
                f"GRANT pg_read_all_stats TO {prefix}_reader",
                f"GRANT {prefix}_migrator TO {owner}",
            ),
        )
        for statement in first.left:
            await administrator.execute(statement)
        second = await apply_roles(connection, prefix=prefix)
        assert (len(second.roles), second.left) == (4, ())
        assert await connection.fetchval(
            "SELECT has_table_privilege($1, 'outbox.events', 'SELECT')"
            " AND NOT has_table_privilege($1, 'outbox.events', 'INSERT')",
            f"{prefix}_relay",
        )
    finally:
        await connection.close()
        await administrator.execute(f"ALTER DATABASE {url.database} OWNER TO CURRENT_USER")
        await administrator.execute(f"DROP OWNED BY {names} CASCADE; DROP ROLE {names}")
        await administrator.close()


async def test_a_prefix_is_a_plain_name(postgres_dsn: str) -> None:
    """What goes into statements is looked at first."""
    connection = await asyncpg.connect(postgres_dsn)
    with pytest.raises(MisuseError, match="lower-case"):
        await apply_roles(connection, prefix="x; DROP")
    await connection.close()
