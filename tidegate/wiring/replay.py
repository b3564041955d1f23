"""What replay, redrive and the dead-letter commands are made of."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from consumers.bridge.bridge import BridgeHandler
from consumers.bridge.dead_letters import DeadLetters
from consumers.bridge.reading import RecordReader
from consumers.bridge.route import Route
from consumers.errors import MissingTopicError
from consumers.replay.audit import AuditTrail
from consumers.replay.contents import payload_of
from consumers.replay.discarding import Discarder
from consumers.replay.letters import FoundLetter, LetterBox, headers_of
from consumers.replay.place import Place
from consumers.replay.record_types import TypeOf, type_by_header_or_schema
from consumers.replay.source import KafkaSource
from infra.clients import postgres
from infra.clients.kafka import aiokafka_options, require_bootstrap
from infra.errors import UnavailableError
from infra.settings import KafkaSettings, Settings
from infra.topics import dlq_of
from schemas.codec import Codec
from schemas.lookup import SchemaLookup
from tidegate.wiring.bridge import open_bridge
from tidegate.wiring.schemas import open_schemas

_DLQ = dlq_of("")


@dataclass(frozen=True, slots=True)
class Looking:
    """What it takes to look at records and dead letters, without a bridge."""

    source: KafkaSource
    codec: Codec
    lookup: SchemaLookup
    type_of: TypeOf
    trail: AuditTrail

    async def letter_box(self, topics: Sequence[str]) -> LetterBox:
        """The dead-letter ``topics``, with what people have done about them."""
        done: dict[Place, str] = {}
        for topic in topics:
            done |= await self.trail.redriven_before(topic)
        return LetterBox(self.source, self.type_of, done)

    async def contents(self, found: FoundLetter) -> dict[str, Any]:
        """Headers and payload of a letter for reading: decoded as far as it can be, in hexadecimal where it cannot."""
        sentence = found.letter.reason.sentence if found.letter else None
        return {
            "sentence": sentence,
            "workflow_id": found.letter.workflow_id if found.letter else None,
            "headers": headers_of(found.record),
            **await payload_of(found.record, self.codec, self.lookup),
        }


@dataclass(frozen=True, slots=True)
class Resending:
    """What it takes to send records through the bridge again, or to say what that would do."""

    look: Looking
    bridge: BridgeHandler
    discarder: Discarder
    reader: RecordReader
    dead_letters: DeadLetters


@asynccontextmanager
async def open_looking(settings: Settings) -> AsyncIterator[Looking]:
    """Connect to the broker, the registry and the database.

    Raises MisuseError where an address or the tables are missing, UnavailableError where a server does not answer.
    """
    # a command that ends in one line must not be preceded by the client's own complaints
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async with AsyncExitStack() as opened:
        require_bootstrap(settings.kafka)
        trail = await opened.enter_async_context(open_trail(settings))
        schemas = await open_schemas(settings)
        opened.push_async_callback(schemas.close)
        type_of = type_by_header_or_schema(schemas.lookup)
        yield Looking(KafkaSource(settings.kafka), schemas.codec, schemas.lookup, type_of, trail)


@asynccontextmanager
async def open_resending(
    settings: Settings, *, routes: Sequence[Route] | None = None
) -> AsyncIterator[Resending]:
    """The same, and a bridge with ``routes`` (None: the routing table). Raises as :func:`open_looking`."""
    async with (
        open_looking(settings) as look,
        open_bridge(settings, routes=routes, identity="tidegate-replay") as bridge,
    ):
        discarder = Discarder(bridge.reader, bridge.table, bridge.ledger, bridge.recorder)
        yield Resending(look, bridge.handler, discarder, bridge.reader, bridge.dead_letters)


async def dead_letter_topics(settings: KafkaSettings, topic: str | None) -> list[str]:
    """The dead-letter topic of ``topic`` (either name of it), or all that the broker has.

    Raises MissingTopicError when it is not there, UnavailableError when no broker answers.
    """
    admin = AIOKafkaAdminClient(**aiokafka_options(settings))
    try:
        await admin.start()
        known = sorted(name for name in await admin.list_topics() if name.endswith(_DLQ))
    except (KafkaError, OSError) as error:
        raise UnavailableError(f"Kafka at {require_bootstrap(settings)} does not answer: {error}") from error
    finally:
        await admin.close()
    if topic is None:
        return known
    wanted = topic if topic.endswith(_DLQ) else dlq_of(topic)
    if wanted not in known:
        raise MissingTopicError(
            f"the broker has no topic {wanted}; dead-letter topics: {', '.join(known) or 'none'}"
        )
    return [wanted]


@asynccontextmanager
async def open_trail(settings: Settings) -> AsyncIterator[AuditTrail]:
    """The audit trail by itself. Raises MisuseError where its tables are missing, UnavailableError."""
    try:
        pool = await postgres.create_pool(settings.postgres)
    except (OSError, asyncpg.PostgresError, TimeoutError) as error:
        raise UnavailableError(f"PostgreSQL does not answer: {error or type(error).__name__}") from error
    async with pool:
        trail = AuditTrail(pool)
        await trail.check()
        yield trail
