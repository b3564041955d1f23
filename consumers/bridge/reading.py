"""From a record to its envelope and its event, with one named reason for each way in which that can fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from consumers.bridge.delivery import Reason
from consumers.errors import ConsumerError, DownstreamUnavailableError
from consumers.runtime.record import ConsumedRecord
from infra.errors import UnavailableError
from infra.ids import derived_id
from schemas.codec import Codec
from schemas.envelope import Envelope
from schemas.errors import (
    DecodeError,
    PersonalDataError,
    RegistryRefusedError,
    UnknownEventError,
    UnknownSchemaError,
)
from schemas.event import Event
from schemas.lookup import SchemaLookup
from schemas.privacy import require_references, without_texts

_FRAME_BYTES = 5
_OURS = "/services/"


class PoisonedError(ConsumerError):
    """A record can never be delivered, for ``reason``."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.sentence)
        self.reason = reason


class RecordReader:
    """Reads records of one Kafka cluster. A schema id that is new is looked up in the registry once."""

    def __init__(self, codec: Codec, lookup: SchemaLookup, *, cluster_id: str) -> None:
        self._codec = codec
        self._lookup = lookup
        self._cluster_id = cluster_id

    async def envelope(self, record: ConsumedRecord) -> Envelope:
        """What the record's headers say; its type by the schema id where they do not name one.

        Raises :class:`PoisonedError`; :class:`DownstreamUnavailableError` while the registry cannot be asked.
        """
        try:
            return self._envelope(record, self._codec.type_of)
        except UnknownSchemaError as error:
            await self._learn(error.schema_id)
        except DecodeError as error:
            raise PoisonedError(_reason_of(error, record)) from error
        try:
            return self._envelope(record, self._codec.type_of)
        except DecodeError as error:
            raise PoisonedError(_reason_of(error, record)) from error

    async def event(self, record: ConsumedRecord, envelope: Envelope) -> Event:
        """The event in the record's value, which must be of the type that the envelope names.

        Raises as :meth:`envelope` does.
        """
        try:
            event = self._codec.decode(record.value)
        except UnknownSchemaError as error:
            await self._learn(error.schema_id)
            try:
                event = self._codec.decode(record.value)
            except DecodeError as again:
                raise PoisonedError(_reason_of(again, record)) from again
        except DecodeError as error:
            raise PoisonedError(_reason_of(error, record)) from error
        if envelope.type != event.TYPE:
            raise PoisonedError(Reason.PAYLOAD_INVALID)
        return event

    def argument(self, event: Event, envelope: Envelope) -> dict[str, Any]:
        """What of ``event`` a workflow is told: its fields, without texts unless a service of ours wrote them.

        Raises :class:`PoisonedError` for an event that holds more about a person than references: it must not come
        into a history, which is kept and copied by other rules than its topic.
        """
        try:
            require_references(event)
        except PersonalDataError as error:
            raise PoisonedError(Reason.PERSONAL_DATA) from error
        fields = event.to_json()
        return fields if envelope.source.startswith(_OURS) else without_texts(fields)

    def event_id(self, record: ConsumedRecord) -> UUID:
        """The id of the event, also of a record of which nothing else can be read."""
        try:
            return self._envelope(record, lambda _: "").id
        except DecodeError:
            return derived_id("foreign", self._cluster_id, record.topic, record.partition, record.offset)

    def _envelope(self, record: ConsumedRecord, type_of: Callable[[bytes | None], str]) -> Envelope:
        return Envelope.of(
            record.headers,
            value=record.value,
            codec_type_of=type_of,
            cluster_id=self._cluster_id,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
        )

    async def _learn(self, schema_id: int) -> None:
        try:
            await self._lookup.learn(schema_id)
        except UnknownSchemaError as error:
            raise PoisonedError(Reason.UNKNOWN_SCHEMA) from error
        except (UnavailableError, RegistryRefusedError) as error:
            # It may well be good: a registry that is away or locked must not turn records into dead letters.
            raise DownstreamUnavailableError(
                f"schema id {schema_id} is new, and the registry cannot be asked: {error}"
            ) from error


def _reason_of(error: DecodeError, record: ConsumedRecord) -> Reason:
    match error:
        case UnknownSchemaError():
            return Reason.UNKNOWN_SCHEMA
        case UnknownEventError():
            return Reason.UNKNOWN_TYPE
        case _ if record.value is not None and len(record.value) < _FRAME_BYTES:
            return Reason.TRUNCATED
        case _ if isinstance(error.__cause__, EOFError | IndexError):
            return Reason.TRUNCATED
        case _:
            return Reason.UNDECODABLE
