"""Writers, relays and readers for the tests of the outbox."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import asyncpg
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import CollectorRegistry

import outbox
from infra.migrations import migrate
from infra.settings import KafkaSettings
from infra.topics import apply_topics
from infra.topics import load as load_topics
from outbox import Append, Outbox
from outbox.cursor import Cursor
from outbox.headers import headers_of
from outbox.identity import ClusterIdentity
from outbox.layout import Layout
from outbox.metrics import RelayMetrics
from outbox.options import Profile, RelayOptions, Source
from outbox.position import Position
from outbox.probe import Probe
from outbox.publisher import BEHIND, Advance, AnyPublisher, Key, Refusal
from outbox.relay import Relay
from outbox.window import Row
from schemas.event import Event
from schemas.primitives import JSON
from tidegate.wiring.outbox import publisher_of

QUICK = RelayOptions(lease=2.0, status_every=0.2, delivery_timeout=10.0, topic_grace=0.5, stop_timeout=5.0)
"""Options under which a test need not wait long for what takes time on purpose."""

PROFILES: Final = list(Profile)
"""What a conformance test is run with."""


@dataclass(frozen=True, kw_only=True)
class Happened(Event):
    """An event without a schema: what the outbox does with an event does not depend on one."""

    TOPIC: ClassVar[str] = "happenings"
    TYPE: ClassVar[str] = "test.Happened"
    KEY: ClassVar[str] = "about"

    about: str
    payload: bytes = b"x"

    def to_record(self) -> dict[str, Any]:
        return {"about": self.about, "payload": self.payload}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Happened:
        return cls(**record)

    def to_json(self) -> dict[str, JSON]:
        return {"about": self.about, "payload": self.payload.decode()}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Happened:
        return cls(about=str(data["about"]), payload=str(data["payload"]).encode())


def happened_in(topic: str) -> type[Happened]:
    """The event, published to ``topic``."""
    return type("Happened", (Happened,), {"TOPIC": topic})


class PayloadEncoder:
    """Encodes an event as its payload."""

    def encode(self, event: Event, /) -> bytes:
        """The payload's bytes."""
        assert isinstance(event, Happened)
        return event.payload


OUTBOX = Outbox(PayloadEncoder())


async def with_outbox(dsn: str) -> None:
    """Make the outbox in the database, and the aggregates whose locks order the rows of a key."""
    await asyncio.to_thread(migrate, dsn, [outbox.MIGRATIONS])
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(
            "CREATE TABLE aggregates (key text PRIMARY KEY, version bigint NOT NULL DEFAULT 0)"
        )
    finally:
        await connection.close()


@dataclass(slots=True)
class Writers:
    """Concurrent transactions that append as services do, and what they committed."""

    dsn: str
    topic: str
    keys: int = 20
    rollback: float = 0.1
    longest_delay: float = 0.02
    committed: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    async def run(self, writers: int, transactions: int, seed: int) -> None:
        """Let ``writers`` connections make ``transactions`` transactions each."""
        connection = await asyncpg.connect(self.dsn)
        try:
            await connection.execute(
                "INSERT INTO aggregates (key) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING", self._keys()
            )
        finally:
            await connection.close()
        async with asyncio.TaskGroup() as group:
            for number in range(writers):
                group.create_task(self._write(transactions, random.Random(f"{seed}/{number}")))

    @property
    def rows(self) -> int:
        """How many rows were committed."""
        return sum(len(versions) for versions in self.committed.values())

    def _keys(self) -> list[str]:
        return [f"{self.topic}-{number}" for number in range(self.keys)]

    async def _write(self, transactions: int, dice: random.Random) -> None:
        connection = await asyncpg.connect(self.dsn)
        try:
            for _ in range(transactions):
                await self._transaction(connection, dice)
        finally:
            await connection.close()

    async def _transaction(self, connection: asyncpg.Connection[Any], dice: random.Random) -> None:
        """An early number, a pause, several aggregates in turn, savepoints that are undone, a pause, the
        end."""
        done: list[tuple[str, int]] = []
        transaction = connection.transaction()
        await transaction.start()
        if dice.random() < 0.5:
            await connection.execute("SELECT pg_current_xact_id()")
            await self._pause(dice)
        for key in sorted(dice.sample(self._keys(), dice.randint(1, 3))):
            if dice.random() < 0.2:
                undone = connection.transaction()
                await undone.start()
                await self._change(connection, key)
                await undone.rollback()
            if dice.random() < 0.3:
                async with connection.transaction():
                    done.append((key, await self._change(connection, key)))
            else:
                done.append((key, await self._change(connection, key)))
            await self._pause(dice)
        if dice.random() < self.rollback:
            await transaction.rollback()
            return
        await transaction.commit()
        for key, version in done:
            self.committed[key].append(version)

    async def _change(self, connection: asyncpg.Connection[Any], key: str) -> int:
        version: int = await connection.fetchval(
            "UPDATE aggregates SET version = version + 1 WHERE key = $1 RETURNING version", key
        )
        event = happened_in(self.topic)(about=key, payload=str(version).encode())
        await OUTBOX.append(connection, event, source="/test", version=version)
        return version

    async def _pause(self, dice: random.Random) -> None:
        await asyncio.sleep(dice.choice([0, 0, dice.uniform(0, self.longest_delay)]))


async def append_rows(dsn: str, topic: str, versions: range, *, keys: int = 10) -> dict[str, list[int]]:
    """Commit a row for each of ``versions``, spread over ``keys``, all at once; versions by key."""
    connection = await asyncpg.connect(dsn)
    committed: dict[str, list[int]] = defaultdict(list)
    try:
        event = happened_in(topic)
        appends = []
        for version in versions:
            key = f"k{version % keys}"
            appends.append(Append(event=event(about=key), source="/test", version=version))
            committed[key].append(version)
        await OUTBOX.append_all(connection, appends)
    finally:
        await connection.close()
    return dict(committed)


async def shared(dsn: str, *spread: int) -> bool:
    """Whether relays that live own so many groups each, the one with most first."""
    connection = await asyncpg.connect(dsn)
    try:
        owners = await connection.fetch(
            "SELECT owner FROM outbox.ownership WHERE lease_until > clock_timestamp() AND owner IS NOT NULL"
        )
    finally:
        await connection.close()
    return sorted(Counter(row["owner"] for row in owners).values(), reverse=True) == list(spread)


def sequence_of(row: Row) -> int:
    """The version of its aggregate that a row of a window carries."""
    return int(dict(headers_of(row))["ce_sequence"])


@dataclass(slots=True)
class RecordedPage:
    """A page that is only written down."""

    rows: Sequence[Row]
    held: frozenset[Key]
    batches: int = 1
    committed: int = 0
    aborted: int = 0


class RecordingPublisher:
    """Stands for Kafka where only the order and the set of rows matter. ``refuse`` says which rows it
    refuses."""

    def __init__(self, sent: list[Row], refuse: Iterable[int] = ()) -> None:
        self.sent = sent
        self.refuse = set(refuse)
        self.layout = Layout()
        self.keeps_cursor = False

    async def start(self) -> None:
        """Nothing to connect."""

    async def take(self, identity: ClusterIdentity, cursors: Mapping[int, Cursor]) -> dict[int, Position]:
        """Nobody to shut out."""
        return {}

    async def leave(self, groups: Iterable[int]) -> None:
        """Nothing to let go."""

    async def close(self) -> None:
        """Nothing to close."""

    async def prepare(self, rows: Sequence[Row], held: Iterable[Key]) -> RecordedPage:
        """Keep the rows."""
        return RecordedPage(rows, frozenset(held))

    async def send(self, page: RecordedPage, advance: Advance) -> list[Refusal]:
        """Write the rows down in order."""
        held, refusals = set(page.held), []
        for row in page.rows:
            key = (row["topic"], row["key"])
            if key in held or row["id"] in self.refuse:
                refusals.append(Refusal(row, BEHIND if key in held else "refused by the test"))
                held.add(key)
            else:
                self.sent.append(row)
        await advance.secure(refusals)
        return refusals


def relay_to_kafka(
    dsns: Sequence[str],
    bootstrap_servers: str,
    *,
    options: RelayOptions = QUICK,
    metrics: RelayMetrics | None = None,
    probe: Probe | None = None,
) -> Relay:
    """A relay of ``dsns`` to the broker, in the profile that ``options`` say."""
    brokers = {"bootstrap_servers": bootstrap_servers}
    return relay_through(
        dsns,
        lambda: publisher_of(options.profile, brokers, options, probe=probe),
        options=options,
        metrics=metrics,
        probe=probe,
    )


def relay_through(
    dsns: Sequence[str],
    new_publisher: Callable[[], AnyPublisher],
    *,
    options: RelayOptions = QUICK,
    metrics: RelayMetrics | None = None,
    probe: Probe | None = None,
) -> Relay:
    """A relay of ``dsns`` through publishers of the test's own."""
    return Relay(
        [Source(f"source-{number}", dsn) for number, dsn in enumerate(dsns)],
        new_publisher,
        options=options,
        metrics=metrics or RelayMetrics(CollectorRegistry()),
        probe=probe,
    )


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[Relay]:
    """Run ``relay``, and stop it in good order at the end; what it raised is raised."""
    stop = asyncio.Event()
    task = asyncio.create_task(relay.run(stop))
    try:
        yield relay
    finally:
        stop.set()
        await task


async def make_topic(
    bootstrap_servers: str, name: str, *, partitions: int = 3, config: Mapping[str, str] | None = None
) -> None:
    """A new topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(config or {}))])
    finally:
        await admin.close()


async def make_cursor_topic(bootstrap_servers: str) -> None:
    """The topic of the relay's transactions, if it is not there: one for all tests, for each has its generation."""
    topics = [topic for topic in load_topics() if topic.name == QUICK.cursor_topic]
    await apply_topics(KafkaSettings(bootstrap_servers=bootstrap_servers), topics)


class TopicReader:
    """Reads what was committed to a topic, from its beginning, and keeps it."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap_servers,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
        )
        self._topic = topic
        self.records: list[ConsumerRecord] = []

    async def __aenter__(self) -> TopicReader:
        await self._consumer.start()
        await self._consumer._client.force_metadata_update()
        partitions = None
        while not partitions:
            partitions = self._consumer.partitions_for_topic(self._topic)
            if not partitions:
                self._consumer._client.add_topic(self._topic)
                await self._consumer._client.force_metadata_update()
        self._consumer.assign([TopicPartition(self._topic, partition) for partition in sorted(partitions)])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def has(self, count: int) -> bool:
        """Whether ``count`` different events have arrived."""
        batches = await self._consumer.getmany(timeout_ms=200)
        for records in batches.values():
            self.records += records
        return len({header(record, "ce_id") for record in self.records}) >= count

    async def drain(self) -> None:
        """Read what is there and a moment more."""
        ends = await self._consumer.end_offsets(list(self._consumer.assignment()))
        for partition, end in ends.items():
            while await self._consumer.position(partition) < end:
                await self.has(0)

    @property
    def versions(self) -> dict[str, list[int]]:
        """The first occurrences of each key's versions, in the order of the log."""
        return first_occurrences(
            (record.key.decode(), int(header(record, "ce_sequence"))) for record in self.records
        )


def header(record: ConsumerRecord, name: str) -> str:
    """The value of one header of ``record``."""
    value: bytes = dict(record.headers)[name]
    return value.decode()


def first_occurrences(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    """Versions by key in the order of their first occurrence."""
    seen: set[tuple[str, int]] = set()
    found: dict[str, list[int]] = defaultdict(list)
    for key, version in pairs:
        if (key, version) not in seen:
            seen.add((key, version))
            found[key].append(version)
    return dict(found)


def in_order(committed: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """What must have been published: each key's committed versions, ascending."""
    return {key: sorted(versions) for key, versions in committed.items() if versions}
