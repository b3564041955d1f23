"""Events to bytes and back: Confluent framing around Avro binary.

A value is byte 0, the schema id as four bytes, big-endian, and the Avro binary of the record.
Source: design §4, "Framing"; the wire format of the Confluent serialisers.

fastavro does the binary part on schemas from which the logical types are taken out; the generated events
convert decimals and times themselves (``schemas.primitives`` says why).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Final

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas.catalog import Catalog, Schema, canonical, full_name
from schemas.compatibility import cannot_read
from schemas.errors import DecodeError, EncodeError, UnknownEventError, UnknownSchemaError
from schemas.event import Event
from schemas.explain import misfit
from schemas.glimpse import Glimpse, glimpse
from schemas.ids import SchemaIds
from schemas.limits import SMALL, Limits, unbounded
from schemas.walk import Walk

_FRAME: Final = struct.Struct(">bI")
_LOGICAL: Final = frozenset({"logicalType", "precision", "scale", "doc", "key"})


@dataclass(frozen=True, slots=True)
class _Writer:
    frame: bytes
    schema: Any
    walk: Walk


@dataclass(frozen=True, slots=True)
class _Reader:
    """How records with one schema id are read: as ``event``, or not, for ``refusal``."""

    name: str
    event: type[Event] | None
    schema: Schema
    writer: Any = None
    reader: Any = None
    walk: Walk | None = None
    refusal: str = ""


class Codec:
    """Encodes and decodes the events of the catalog with the ids of one registry.

    Safe to share between tasks; :meth:`learn` is the only thing that changes it.
    """

    def __init__(
        self, ids: SchemaIds, *, catalog: Catalog | None = None, limits: Limits | None = None
    ) -> None:
        self._limits = limits or Limits()
        self._schemas = {event.type: event.schema for event in (catalog or Catalog.load()).events}
        self._events = {event.TYPE: event for event in ids.ids}
        self._writers = {event: self._writer_of(event, number) for event, number in ids.ids.items()}
        self._readers: dict[int, _Reader] = {}
        for number, schema in ids.writers.items():
            self.learn(number, schema)

    def encode(self, event: Event) -> bytes:
        """``event`` as the value of a Kafka record; EncodeError names the field that does not fit."""
        writer = self._writers.get(type(event))
        if writer is None:
            raise EncodeError(f"{type(event).__name__} has no schema id: run `tidegate schemas register`")
        sink = BytesIO()
        sink.write(writer.frame)
        try:
            schemaless_writer(sink, writer.schema, event.to_record())
            value = sink.getvalue()
            if len(value) > SMALL:
                self._within_limits(value, writer.walk)
        except Exception as error:
            where = misfit(event, self._schemas[event.TYPE]) or str(error)
            raise EncodeError(f"{event.TYPE}: {where}") from error
        if not event.key:
            raise EncodeError(f"{event.TYPE}: field {event.KEY} is empty; it is the record's key")
        return value

    def decode(self, value: bytes | None) -> Event:
        """The event in ``value``, whatever version of its schema it was written with.

        Raises only DecodeError: :class:`UnknownSchemaError` for an id that has not been learnt,
        :class:`UnknownEventError` for a record that is no event of the catalog. However hostile the bytes, it takes
        milliseconds and megabytes at most (:class:`~schemas.limits.Limits`).
        """
        value, reader = self._reader(value)
        if reader.event is None:
            raise (
                DecodeError(reader.refusal)
                if reader.name in self._schemas
                else UnknownEventError(reader.refusal)
            )
        try:
            if len(value) > SMALL and reader.walk:
                self._within_limits(value, reader.walk)
            source = BytesIO(value)
            source.seek(_FRAME.size)
            record: Any = schemaless_reader(source, reader.writer, reader.reader)
            event = reader.event.from_record(record)
            left = len(value) - source.tell()
        except MemoryError:  # limits keep what a value may take small: it is the process that has too little
            raise
        except Exception as error:  # fastavro raises half a dozen kinds for hostile bytes; here they are one
            raise DecodeError(
                f"{len(value)} bytes are no {reader.name}: {str(error) or type(error).__name__}"
            ) from error
        if left:
            raise DecodeError(f"{len(value)} bytes are no {reader.name}: {left} of them are left over")
        return event

    def type_of(self, value: bytes | None) -> str:
        """Full name of the record in ``value``, by its schema id; nothing is decoded.

        Raises DecodeError when the framing is broken, :class:`UnknownSchemaError` when the id is not known.
        """
        return self._reader(value)[1].name

    def glimpse(self, value: bytes | None, type_: str | None = None) -> Glimpse | None:
        """What a person can be told of a value that is no event: its fields up to the fault, and the fault.

        Read with its writer's schema; where that is not known, as an event of ``type_`` in its present schema. None
        where neither is known, or the value has no frame.
        """
        if not value or len(value) < _FRAME.size or value[0] != 0:
            return None
        reader = self._readers.get(_FRAME.unpack_from(value)[1])
        schema = reader.schema if reader else self._schemas.get(type_ or "")
        return None if schema is None else glimpse(schema, value, _FRAME.size, self._limits)

    def learn(self, schema_id: int, schema: Schema) -> None:
        """Read records with ``schema_id`` as written with ``schema`` from now on.

        A schema that cannot be read here is learnt too: its records are refused, one DecodeError each.
        """
        self._readers[schema_id] = self._reader_of(schema_id, schema)

    def schema_of(self, event: type[Event]) -> Schema:
        """The schema that ``event`` is written with, logical types and documentation included."""
        return self._schemas[event.TYPE]

    def knows(self, schema_id: int) -> bool:
        """Whether ``schema_id`` has been learnt."""
        return schema_id in self._readers

    def _reader(self, value: bytes | None) -> tuple[bytes, _Reader]:
        if value is None:
            raise DecodeError("the record has no value")
        if len(value) < _FRAME.size or value[0] != 0:
            raise DecodeError(
                f"the value ({len(value)} bytes) does not begin with byte 0 and a schema id: "
                "use the registry's Avro serialiser"
            )
        if len(value) > self._limits.value:
            raise DecodeError(f"the value has {len(value)} bytes, more than {self._limits.value}")
        schema_id = _FRAME.unpack_from(value)[1]
        try:
            return value, self._readers[schema_id]
        except KeyError:
            raise UnknownSchemaError(schema_id) from None

    def _reader_of(self, schema_id: int, schema: Schema) -> _Reader:
        name = full_name(schema)
        event = self._events.get(name)
        if event is None:
            return _Reader(name, None, schema, refusal=f"{name} is not in the catalog")
        own = self._schemas[name]
        try:
            writer = parse_schema(_plain(schema))
            reason = unbounded(writer) or next((str(one) for one in cannot_read(own, schema)), None)
        except Exception as error:  # what another team registered may be anything
            reason = str(error)
        if reason:
            return _Reader(
                name, None, schema, refusal=f"schema id {schema_id} ({name}) cannot be read: {reason}"
            )
        same = canonical(_plain(schema)) == canonical(_plain(own))
        reader = None if same else parse_schema(_plain(own))
        return _Reader(name, event, schema, writer, reader, Walk(writer, self._limits))

    def _writer_of(self, event: type[Event], schema_id: int) -> _Writer:
        schema = parse_schema(_plain(self._schemas[event.TYPE]))
        return _Writer(_FRAME.pack(0, schema_id), schema, Walk(schema, self._limits))

    def _within_limits(self, value: bytes, walk: Walk) -> None:
        if len(value) > self._limits.value:
            raise ValueError(f"{len(value)} bytes, more than {self._limits.value}")
        walk(value, _FRAME.size)


def _plain(schema: Any) -> Any:
    """``schema`` without logical types and documentation."""
    if isinstance(schema, list):
        return [_plain(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: value for name, value in schema.items() if name not in _LOGICAL}
    for part in ("type", "items", "values"):
        if part in plain:
            plain[part] = _plain(plain[part])
    if "fields" in plain:
        plain["fields"] = [_plain(field) for field in plain["fields"]]
    return plain
