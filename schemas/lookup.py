"""Decoding records with schema ids that were not known at start, at the cost of one request an id."""

from __future__ import annotations

import time
from typing import Final, Protocol

from schemas.catalog import Schema
from schemas.codec import Codec
from schemas.errors import UnknownSchemaError
from schemas.event import Event

_REMEMBERED: Final = 10_000


class SchemaSource(Protocol):
    """What knows the schemas behind ids: :class:`schemas.registry.Registry`."""

    async def fetch(self, schema_id: int) -> Schema:
        """The schema behind ``schema_id``; raises UnknownSchemaError or RegistryUnavailableError."""
        ...


class SchemaLookup:
    """A codec that asks ``source`` for the schema behind an id that it has not met.

    An id that the source does not know either is not asked for again within ``forget_after`` seconds, so
    that a flood of bad records does not become a flood of requests.
    """

    def __init__(self, codec: Codec, source: SchemaSource, *, forget_after: float = 60) -> None:
        self._codec = codec
        self._source = source
        self._forget_after = forget_after
        self._unknown: dict[int, float] = {}

    async def decode(self, value: bytes | None) -> Event:
        """As :meth:`Codec.decode`; RegistryUnavailableError when the schema cannot be had now."""
        try:
            return self._codec.decode(value)
        except UnknownSchemaError as error:
            await self.learn(error.schema_id)
            return self._codec.decode(value)

    async def type_of(self, value: bytes | None) -> str:
        """As :meth:`Codec.type_of`; RegistryUnavailableError when the schema cannot be had now."""
        try:
            return self._codec.type_of(value)
        except UnknownSchemaError as error:
            await self.learn(error.schema_id)
            return self._codec.type_of(value)

    async def learn(self, schema_id: int) -> None:
        """Teach the codec the schema behind ``schema_id``.

        Raises UnknownSchemaError when nobody knows it (a bad record), RegistryUnavailableError when the
        registry does not answer (the record must wait: it may be good).
        """
        if self._codec.knows(schema_id):
            return
        now = time.monotonic()
        if now < self._unknown.get(schema_id, now):
            raise UnknownSchemaError(schema_id)
        try:
            schema = await self._source.fetch(schema_id)
        except UnknownSchemaError:
            if len(self._unknown) >= _REMEMBERED:
                self._unknown.clear()
            self._unknown[schema_id] = now + self._forget_after
            raise
        self._codec.learn(schema_id, schema)
