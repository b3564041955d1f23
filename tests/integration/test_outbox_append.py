"""What is appended in a transaction is there when it commits, as it was given, and not when it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy import make_url, text
from sqlalchemy.event import listen
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from infra.ids import derived_id
from outbox import Append, Outbox
from outbox.origin import on_behalf_of
from schemas.codec import Codec
from schemas.errors import EncodeError, PersonalDataError
from schemas.events import OrderReserved
from schemas.ids import SchemaIds
from tests.outbox_support import OUTBOX, Happened, with_outbox


@pytest_asyncio.fixture(loop_scope="session")
async def outbox_dsn(postgres_dsn: str) -> str:
    """A database with an outbox."""
    await with_outbox(postgres_dsn)
    return postgres_dsn


@pytest_asyncio.fixture(loop_scope="session")
async def connection(outbox_dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to it."""
    opened = await asyncpg.connect(outbox_dsn)
    yield opened
    await opened.close()


@pytest_asyncio.fixture(loop_scope="session")
async def engine(outbox_dsn: str) -> AsyncIterator[AsyncEngine]:
    """An engine on it."""
    opened = create_async_engine(make_url(outbox_dsn).set(drivername="postgresql+asyncpg"))
    yield opened
    await opened.dispose()


async def _rows(connection: asyncpg.Connection) -> list[asyncpg.Record]:
    rows: list[asyncpg.Record] = await connection.fetch("SELECT * FROM outbox.events ORDER BY id")
    return rows


async def test_a_connection_and_a_session_write_the_same_row(
    connection: asyncpg.Connection, engine: AsyncEngine
) -> None:
    """Every field arrives as it was given, whichever way it was appended."""
    at, identity = datetime(2026, 11, 21, 9, 30, tzinfo=UTC), uuid4()
    one = Append(
        event=Happened(about="k1", payload=b"\\x00value"),
        source="/test",
        version=3,
        subject="s",
        event_id=identity,
        correlation_id="c",
        causation_id="d",
        extensions={"flow": "direct"},
        traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
        time=at,
    )
    async with connection.transaction():
        await OUTBOX.append_all(connection, [one])
    async with AsyncSession(engine) as session, session.begin():
        await OUTBOX.append_all(session, [one])
    first, second = await _rows(connection)
    ours = {name: first[name] for name in first.keys() if name not in {"id", "xid", "created_at"}}  # noqa: SIM118
    assert ours == {name: second[name] for name in ours}
    assert json.loads(ours["extensions"]) == {"flow": "direct"}
    assert (ours["event_id"], ours["time"], ours["value"], ours["sequence"]) == (
        identity,
        at,
        b"\\x00value",
        3,
    )


async def test_rolled_back_means_never_appended(connection: asyncpg.Connection, engine: AsyncEngine) -> None:
    """An append lives and dies with its transaction."""
    async with AsyncSession(engine) as session:
        await OUTBOX.append(session, Happened(about="k"), source="/test", version=1)
        await session.rollback()
    transaction = connection.transaction()
    await transaction.start()
    await OUTBOX.append(connection, Happened(about="k"), source="/test", version=1)
    await transaction.rollback()
    assert await _rows(connection) == []


async def test_the_session_is_flushed_before_the_id_is_drawn(engine: AsyncEngine) -> None:
    """What the unit of work holds back reaches the database before the event does."""
    order: list[str] = []

    class Watching(AsyncSession):
        async def flush(self, objects: object = None) -> None:
            order.append("flush")
            await super().flush(objects)  # type: ignore[arg-type]

        async def execute(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]
            order.append("insert")
            return await super().execute(*args, **kwargs)  # type: ignore[call-overload]

    async with Watching(engine) as session, session.begin():
        await OUTBOX.append(session, Happened(about="k"), source="/test", version=1)
    assert order == ["flush", "insert"]


async def test_an_event_that_does_not_fit_its_schema_aborts_the_transaction(
    engine: AsyncEngine, connection: asyncpg.Connection
) -> None:
    """The business change does not commit when its event cannot be encoded."""
    outbox = Outbox(Codec(SchemaIds.local()))
    wrong = OrderReserved(order_id=None, reserved_at=datetime.now(UTC))  # type: ignore[arg-type]
    with pytest.raises(EncodeError):  # noqa: PT012 - the transaction must end inside
        async with AsyncSession(engine) as session, session.begin():
            await session.execute(text("INSERT INTO aggregates (key) VALUES ('business')"))
            await outbox.append(session, wrong, source="/test", version=1, key="k")
    assert await connection.fetchval("SELECT count(*) FROM aggregates") == 0


async def test_append_once_is_once(connection: asyncpg.Connection, engine: AsyncEngine) -> None:
    """The second append of an identity says so and writes nothing, in either kind of transaction."""
    identity = uuid4()
    event = Happened(about="k")
    assert not await OUTBOX.exists(connection, identity)
    assert await OUTBOX.append_once(connection, event, event_id=identity, source="/test", version=1)
    async with AsyncSession(engine) as session, session.begin():
        assert await OUTBOX.exists(session, identity)
        assert not await OUTBOX.append_once(session, event, event_id=identity, source="/test", version=2)
    assert [row["event_id"] for row in await _rows(connection)] == [identity]


async def test_an_identity_that_was_rolled_back_is_free(connection: asyncpg.Connection) -> None:
    """Identity and event live and die together."""
    identity = uuid4()
    transaction = connection.transaction()
    await transaction.start()
    assert await OUTBOX.append_once(
        connection, Happened(about="k"), event_id=identity, source="/t", version=1
    )
    await transaction.rollback()
    assert await OUTBOX.append_once(
        connection, Happened(about="k"), event_id=identity, source="/t", version=1
    )


async def test_a_row_says_on_whose_behalf_it_was_appended(connection: asyncpg.Connection) -> None:
    """Within a caller's context each row carries its workflow; after it, and where the event says otherwise, not."""
    with on_behalf_of(workflow_id="order-intake-1"):
        for extensions in (None, {"flow": "direct"}, {"workflowid": "another"}):
            await OUTBOX.append(
                connection, Happened(about="k"), source="/test", version=None, extensions=extensions
            )
    await OUTBOX.append(connection, Happened(about="k"), source="/test", version=None)
    assert [json.loads(row["extensions"]) for row in await _rows(connection)] == [
        {"workflowid": "order-intake-1"},
        {"workflowid": "order-intake-1", "flow": "direct"},
        {"workflowid": "another"},
        {},
    ]


async def test_many_are_appended_in_their_order(connection: asyncpg.Connection) -> None:
    """`append_all` draws ids in the order given, and a versioned event has the id that anyone can derive."""
    appends = [Append(event=Happened(about=f"k{n % 3}"), source="/test", version=n) for n in range(50)]
    ids = await OUTBOX.append_all(connection, appends)
    rows = await _rows(connection)
    assert [row["event_id"] for row in rows] == ids
    assert ids[7] == derived_id("event", "/test", "k1", 7)
    assert [row["sequence"] for row in rows] == list(range(50))


async def test_any_number_is_appended_by_one_statement(
    connection: asyncpg.Connection, engine: AsyncEngine
) -> None:
    """A hundred events are one statement and one round trip, in either kind of transaction."""
    appends = [Append(event=Happened(about=f"k{n}"), source="/test", version=n) for n in range(100)]
    said: list[str] = []
    with connection.query_logger(lambda query: said.append(query.query)):
        await OUTBOX.append_all(connection, appends)
        await asyncio.sleep(0)  # asyncpg tells a turn later
    assert len([query for query in said if "outbox" in query]) == 1
    executed: list[str] = []
    listen(engine.sync_engine, "before_cursor_execute", lambda *event: executed.append(event[2]))
    async with AsyncSession(engine) as session, session.begin():
        await OUTBOX.append_all(session, appends)
    assert len(executed) == 1
    assert len(await _rows(connection)) == 200


async def test_nothing_stands_on_the_commit_path(connection: asyncpg.Connection) -> None:
    """No trigger, no rule, no constraint that waits for the commit, and nobody is notified: a NOTIFY takes a lock of
    the whole cluster at commit. Also on a day that is made later."""
    await connection.execute("SELECT outbox.make_day(current_date + 9)")
    on_the_way = await connection.fetchrow(
        "SELECT (SELECT count(*) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid"
        "         WHERE c.relnamespace = 'outbox'::regnamespace AND NOT t.tgisinternal) AS triggers,"
        "       (SELECT count(*) FROM pg_rules WHERE schemaname = 'outbox') AS rules,"
        "       (SELECT count(*) FROM pg_constraint AS n JOIN pg_class AS c ON c.oid = n.conrelid"
        "         WHERE c.relnamespace = 'outbox'::regnamespace AND n.condeferrable) AS deferred,"
        "       (SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid IN"
        "         ('outbox.events'::regclass, 'outbox.identities'::regclass)) AS foreign_keys,"
        "       (SELECT count(*) FROM pg_proc WHERE pronamespace = 'outbox'::regnamespace"
        "         AND prosrc ~* 'notify') AS notifying"
    )
    assert on_the_way is not None
    assert set(on_the_way.values()) == {0}
    said: list[str] = []
    with connection.query_logger(lambda query: said.append(query.query)):
        async with connection.transaction():
            await OUTBOX.append_once(
                connection, Happened(about="k"), event_id=uuid4(), source="/t", version=1
            )
        await asyncio.sleep(0)  # asyncpg tells a turn later
    assert said
    assert not [query for query in said if "notify" in query.lower()]


async def test_a_commit_that_a_crash_could_undo_cannot_append(connection: asyncpg.Connection) -> None:
    """With synchronous_commit off, the append itself is refused."""
    with pytest.raises(asyncpg.CheckViolationError, match="commit_must_be_durable"):  # noqa: PT012
        async with connection.transaction():
            await connection.execute("SET LOCAL synchronous_commit = off")
            await OUTBOX.append(connection, Happened(about="k"), source="/test", version=1)


async def test_an_append_does_not_need_its_day(connection: asyncpg.Connection) -> None:
    """Without a partition for today the row goes to the default partition."""
    for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE tablename ~ '^events_2'"):
        await connection.execute(f"DROP TABLE outbox.{row['tablename']}")
    await OUTBOX.append(connection, Happened(about="k"), source="/test", version=1)
    assert await connection.fetchval("SELECT count(*) FROM outbox.events_default") == 1


async def test_an_event_about_a_person_is_not_appended(connection: asyncpg.Connection) -> None:
    """More than a reference ends the transaction, whoever appends it, and is not shown."""
    outbox = Outbox(Codec(SchemaIds.local()))
    event = OrderReserved(order_id="jane@example.com", reserved_at=datetime(2026, 11, 21, tzinfo=UTC))
    with pytest.raises(PersonalDataError) as refused:
        async with connection.transaction():
            await outbox.append(connection, event, source="/services/oms", version=1)
    assert "jane" not in str(refused.value)
    assert await _rows(connection) == []
