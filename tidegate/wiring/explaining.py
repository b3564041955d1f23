"""What explains an event: the routing table alone, or with what the servers that can be reached know."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from consumers.bridge.dead_letters import DeadLetter
from consumers.bridge.evidence import Witnesses
from consumers.bridge.explaining import Explanation, explain
from consumers.bridge.ledger import Ledger
from consumers.bridge.reading import RecordReader
from consumers.bridge.stated import StatedEvent, stated_in_json, stated_in_record
from consumers.bridge.table import RoutingTable
from consumers.bridge.temporal import TemporalGateway
from consumers.errors import DownstreamUnavailableError, UnusableEventError
from consumers.replay.errors import InvalidSelectionError, NoSuchRecordError
from consumers.replay.place import Place
from consumers.replay.selection import Selection
from consumers.replay.source import KafkaSource
from consumers.runtime.record import ConsumedRecord
from infra.clients import postgres, temporal
from infra.clients.kafka import require_bootstrap
from infra.errors import MisuseError, UnavailableError
from infra.settings import KafkaSettings, PostgresSettings, Settings
from infra.topics import dlq_of
from schemas.events import EVENTS
from tidegate.wiring.bridge import checked_routes, cluster_id_of
from tidegate.wiring.schemas import open_schemas


async def explain_event(settings: Settings, what: str) -> tuple[Explanation, list[str]]:
    """What would happen to the event in the file or at the place ``what``, and who could not be asked, and why.

    A file needs no server; ``TOPIC:PARTITION:OFFSET`` needs the broker, and the registry or its cache. Of a dead letter
    the record that it holds is explained. Raises MisuseError where there is no such event, UnavailableError where a
    server that is needed does not answer.
    """
    # what a client has to say of a server that is away is said in one of the sentences that are returned
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    table = RoutingTable(checked_routes(), EVENTS)
    stated = await _stated(settings, what, table)
    async with _open_witnesses(settings) as (witnesses, silent):
        try:
            return await explain(stated, table, witnesses), silent
        except DownstreamUnavailableError as error:
            return await explain(stated, table, Witnesses()), [*silent, str(error)]


async def _stated(settings: Settings, what: str, table: RoutingTable) -> StatedEvent:
    if (text := _text_of(what)) is not None:
        return stated_in_json(text, what, EVENTS)
    try:
        place = Place.parse(what)
    except InvalidSelectionError as error:
        raise UnusableEventError(f"{what!r} is neither a file nor a place TOPIC:PARTITION:OFFSET") from error
    record = await _record_at(settings.kafka, place)
    if place.topic == dlq_of(place.topic.removesuffix(dlq_of(""))):
        record = DeadLetter.of(record).record
    schemas = await open_schemas(settings)
    try:
        cluster_id = await cluster_id_of(settings.kafka)
        reader = RecordReader(schemas.codec, schemas.lookup, cluster_id=cluster_id)
        return await stated_in_record(record, reader, table)
    except DownstreamUnavailableError as error:
        raise UnavailableError(str(error)) from error
    finally:
        await schemas.close()


def _text_of(what: str) -> str | None:
    """What is in the file ``what``; None where there is none."""
    try:
        file = Path(what)
        return file.read_text(encoding="utf-8") if file.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise UnusableEventError(f"{what} cannot be read: {error}") from error


async def _record_at(settings: KafkaSettings, place: Place) -> ConsumedRecord:
    require_bootstrap(settings)
    selection = Selection(
        topic=place.topic,
        partitions=frozenset({place.partition}),
        from_offset=place.offset,
        to_offset=place.offset + 1,
    )
    async for records in KafkaSource(settings).read(selection):
        return records[0]
    raise NoSuchRecordError(f"no record stands at {place}")


@asynccontextmanager
async def _open_witnesses(settings: Settings) -> AsyncIterator[tuple[Witnesses, list[str]]]:
    silent: list[str] = []
    async with AsyncExitStack() as opened:
        pool: asyncpg.Pool | None = None
        gateway: TemporalGateway | None = None
        try:
            pool = await _pool(settings.postgres, opened)
        except (MisuseError, UnavailableError, DownstreamUnavailableError) as error:
            silent.append(str(error))
        try:
            gateway = TemporalGateway(await temporal.connect(settings.temporal, identity="tidegate-routes"))
        except (MisuseError, UnavailableError) as error:
            silent.append(str(error))
        yield Witnesses(pool, gateway), silent


async def _pool(settings: PostgresSettings, opened: AsyncExitStack) -> asyncpg.Pool:
    try:
        pool = await postgres.create_pool(settings)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise UnavailableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
    opened.push_async_callback(pool.close)
    await Ledger(pool).check()
    return pool
