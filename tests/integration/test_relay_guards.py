"""What a relay recognises before it publishes: each is refused or handled, with a sentence that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import TopicAuthorizationFailedError
from structlog.testing import capture_logs

from infra.errors import MisuseError
from infra.settings import Settings
from infra.topics import load as manifest
from outbox import parking
from outbox.errors import PublisherBrokenError, RelayRefusedError
from outbox.layout import Layout, accept
from outbox.options import Profile
from outbox.pooler import refuse_pooler
from outbox.status import outbox_status
from tests.outbox_support import (
    OUTBOX,
    PROFILES,
    QUICK,
    Happened,
    RecordingPublisher,
    TopicReader,
    happened_in,
    make_cursor_topic,
    make_topic,
    relay_through,
    relay_to_kafka,
    running,
    with_outbox,
)
from tests.transaction_pooler import TransactionPooler
from tests.waiting import until
from tidegate.wiring.topics import warn_of_missing_topics


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


@pytest.mark.parametrize("picky", [True, False])
async def test_a_transaction_pooler_is_refused(outbox_dsn: str, picky: bool) -> None:
    """Whether the pooler rejects settings of the session or loses them; an append goes through it all the same."""
    async with TransactionPooler(outbox_dsn, picky=picky).serving() as pooled:
        with pytest.raises(RelayRefusedError, match=r"transaction pooler .* give the relay the address"):
            await relay_through([pooled], lambda: RecordingPublisher([])).run(asyncio.Event())
        writer = await asyncpg.connect(pooled, statement_cache_size=0)
        async with writer.transaction():
            await OUTBOX.append(writer, Happened(about="k"), source="/test", version=1)
        await writer.close()


@pytest.mark.parametrize("size", [3, 12])
async def test_a_pooler_of_any_size_gives_itself_away(outbox_dsn: str, size: int) -> None:
    """Two connections that share a backend are found, however many backends there are."""
    async with TransactionPooler(outbox_dsn, size=size).serving() as pooled:
        opened = [await asyncpg.connect(pooled) for _ in range(3)]
        with pytest.raises(RelayRefusedError, match="transaction pooler"):
            await refuse_pooler(opened)
        for one in opened:
            await one.close()


async def test_postgresql_itself_is_not_taken_for_a_pooler(outbox_dsn: str) -> None:
    """Connections that are sessions pass, and are in no transaction afterwards."""
    opened = [await asyncpg.connect(outbox_dsn) for _ in range(3)]
    await refuse_pooler(opened)
    for one in opened:
        assert not one.is_in_transaction()
        await one.close()


async def test_a_key_keeps_its_partition_when_a_topic_gets_more(
    outbox_dsn: str, connection: asyncpg.Connection, bootstrap_servers: str, unique: str
) -> None:
    """Added partitions lie idle, which the log says, until they are accepted; and that only while no relay runs."""
    await make_topic(bootstrap_servers, unique, partitions=2)
    keys = [f"k{n}" for n in range(12)]

    async def append(version: int) -> None:
        for key in keys:
            await OUTBOX.append(connection, happened_in(unique)(about=key), source="/test", version=version)

    await append(1)
    async with running(relay_to_kafka([outbox_dsn], bootstrap_servers)):
        await until(lambda: _published(connection))
    await _raise_partitions(bootstrap_servers, unique, 7)
    await append(2)
    with capture_logs() as logs:
        async with running(relay_to_kafka([outbox_dsn], bootstrap_servers)):
            await until(lambda: _published(connection))
            with pytest.raises(MisuseError, match="stop every relay"):
                await accept(connection, {unique: 7})
    said = [log for log in logs if log["event"].startswith("partitions were added")]
    assert [(log["partitions"], log["used"]) for log in said] == [(7, 2)]
    assert await accept(connection, {unique: 7, "another": 3}) == [(unique, 2, 7)]
    assert await accept(connection, {unique: 7}) == []
    await append(3)
    async with (
        running(relay_to_kafka([outbox_dsn], bootstrap_servers)),
        TopicReader(bootstrap_servers, unique) as reader,
    ):
        await until(lambda: reader.has(36))
    places: dict[int, dict[str, int]] = {1: {}, 2: {}, 3: {}}
    for record in reader.records:
        version = int(dict(record.headers)["ce_sequence"])
        places[version][record.key.decode()] = record.partition
    assert places[2] == places[1]
    assert places[3] != places[1]
    assert max(places[3].values()) > 1


async def test_a_topic_that_was_made_anew_with_fewer_partitions_is_refused(
    outbox_dsn: str, connection: asyncpg.Connection, bootstrap_servers: str, unique: str
) -> None:
    """Where the noted partitions are gone, keys cannot stay: the sentence names the command that accepts it."""
    await make_topic(bootstrap_servers, unique, partitions=2)
    await connection.execute("INSERT INTO outbox.topics VALUES ($1, 5)", unique)
    await OUTBOX.append(connection, happened_in(unique)(about="k"), source="/test", version=1)
    with pytest.raises(RelayRefusedError, match=f"2 partitions and had 5.*accept-partitions {unique}"):
        await relay_to_kafka([outbox_dsn], bootstrap_servers).run(asyncio.Event())
    await accept(connection, {unique: 2})
    async with running(relay_to_kafka([outbox_dsn], bootstrap_servers)):
        await until(lambda: _published(connection))


async def test_two_relays_that_meet_a_new_topic_note_one_number(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """The one that comes second sends nothing that it prepared with another number."""
    first, second = Layout(), Layout()
    assert (first.spread("t", 3), second.spread("t", 4)) == (3, 4)
    await first.note(connection)
    with pytest.raises(PublisherBrokenError, match="noted 3 partitions for t"):
        await second.note(connection)
    assert second.spread("t", 4) == 3


async def test_a_relay_that_froze_does_not_go_on_with_the_number_of_before(
    outbox_dsn: str, connection: asyncpg.Connection
) -> None:
    """To accept a number is to take the groups from whoever had them, also from one whose lease has run out."""
    await connection.execute("INSERT INTO outbox.topics VALUES ('t', 3)")
    await connection.execute("UPDATE outbox.ownership SET owner = 'frozen', epoch = 7")
    await accept(connection, {"t": 4})
    left = await connection.fetch("SELECT DISTINCT owner, epoch FROM outbox.ownership")
    assert [tuple(row) for row in left] == [(None, 8)]


async def test_a_topic_that_is_missing_is_named_at_the_start(bootstrap_servers: str, unique: str) -> None:
    """Before a row of it is parked, the log says which topics there are not and what to run."""
    first = manifest()[0]
    there, missing = replace(first, name=f"{unique}-there"), replace(first, name=f"{unique}-missing")
    await make_topic(bootstrap_servers, there.name)
    settings = Settings.model_validate({"kafka": {"bootstrap_servers": bootstrap_servers}})
    with capture_logs() as logs:
        await warn_of_missing_topics(settings, [there, missing])
    assert [log["topics"] for log in logs if "run `tidegate topics apply`" in log["event"]] == [
        [missing.name]
    ]


@pytest.mark.parametrize("profile", PROFILES)
async def test_a_topic_that_we_may_not_write_to_holds_only_its_rows(
    outbox_dsn: str, bootstrap_servers: str, unique: str, profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that answers TOPIC_AUTHORIZATION_FAILED: its rows are parked with that reason, the others go on.

    The local broker refuses nobody, so the answer is put where aiokafka puts the broker's.
    """
    forbidden, free = f"{unique}-forbidden", f"{unique}-free"
    for topic in (forbidden, free):
        await make_topic(bootstrap_servers, topic)
    await make_cursor_topic(bootstrap_servers)
    real = AIOKafkaProducer.send_batch

    async def send_batch(
        self: AIOKafkaProducer, batch: Any, topic: str, *, partition: int
    ) -> asyncio.Future[Any]:
        if topic != forbidden:
            acknowledged: asyncio.Future[Any] = await real(self, batch, topic, partition=partition)
            return acknowledged
        refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        refused.set_exception(TopicAuthorizationFailedError(topic))
        return refused

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", send_batch)
    connection = await asyncpg.connect(outbox_dsn)
    for version, topic in enumerate([free, forbidden, forbidden, free], start=1):
        await OUTBOX.append(connection, happened_in(topic)(about="k"), source="/test", version=version)
    options = replace(QUICK, profile=profile)
    async with (
        running(relay_to_kafka([outbox_dsn], bootstrap_servers, options=options)),
        TopicReader(bootstrap_servers, free) as reader,
    ):
        await until(lambda: reader.has(2))
        await until(lambda: _published(connection))
        rows = await parking.parked_rows(connection)
    assert [(row["topic"], row["sequence"]) for row in rows] == [(forbidden, 2), (forbidden, 3)]
    assert "TopicAuthorizationFailed" in rows[0]["reason"]
    await connection.close()


async def _published(connection: asyncpg.Connection) -> bool:
    return (await outbox_status(connection)).lag_rows == 0


async def _raise_partitions(bootstrap_servers: str, topic: str, count: int) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_partitions({topic: NewPartitions(count)})
    finally:
        await admin.close()
