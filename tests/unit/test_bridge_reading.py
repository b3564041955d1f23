"""Reading a record: which trouble is the record's, and which is the registry's."""

from __future__ import annotations

import pytest

from consumers.bridge.delivery import Reason
from consumers.bridge.reading import PoisonedError, RecordReader
from consumers.errors import DownstreamUnavailableError
from consumers.runtime.record import ConsumedRecord
from schemas.catalog import Catalog, Schema
from schemas.codec import Codec
from schemas.errors import RegistryUnavailableError, UnknownSchemaError
from schemas.events import PickCompleted
from schemas.ids import SchemaIds
from schemas.lookup import SchemaLookup
from tests.bridge_support import picked

NEW_ID = b"\x00\x00\x00\x30\x39"


class Source:
    """A registry that is away, knows nothing, or knows one schema."""

    def __init__(self, answer: Schema | Exception) -> None:
        self._answer = answer

    async def fetch(self, schema_id: int) -> Schema:
        """The answer it was made with."""
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def reader(answer: Schema | Exception) -> RecordReader:
    """A reader whose registry gives ``answer``."""
    codec = Codec(SchemaIds.local())
    return RecordReader(codec, SchemaLookup(codec, Source(answer)), cluster_id="c")


def foreign() -> ConsumedRecord:
    """A pick report under a schema id that is new here, from a producer that sends no header."""
    value = NEW_ID + Codec(SchemaIds.local()).encode(picked("7"))[5:]
    return ConsumedRecord("wms.warehouse", 3, 9, b"7", value, (), 0)


async def test_a_new_schema_id_is_looked_up() -> None:
    """A schema that the registry has is learnt, and the record read with it."""
    schema = Catalog.load().of("PickCompleted").schema
    made = reader(schema)
    envelope = await made.envelope(foreign())
    assert envelope.type == PickCompleted.TYPE
    assert await made.event(foreign(), envelope) == picked("7")


async def test_an_id_that_the_registry_does_not_have_is_poison() -> None:
    """Only the registry's own no makes a record a dead letter."""
    with pytest.raises(PoisonedError) as caught:
        await reader(UnknownSchemaError(12345)).envelope(foreign())
    assert caught.value.reason is Reason.UNKNOWN_SCHEMA


async def test_a_registry_that_is_away_makes_the_record_wait() -> None:
    """A registry that cannot be asked buries nothing: the record may be good."""
    with pytest.raises(DownstreamUnavailableError, match="registry"):
        await reader(RegistryUnavailableError("down")).envelope(foreign())


def test_the_event_id_of_a_bad_record_is_still_its_own() -> None:
    """A record of which nothing can be read has the same id for every reader, and another than its neighbour."""
    made = reader(RegistryUnavailableError("down"))
    record = foreign()
    neighbour = ConsumedRecord("wms.warehouse", 3, 10, None, None, (("ce_source", b"\xff"),), 0)
    assert made.event_id(record) == reader(RegistryUnavailableError("x")).event_id(record)
    assert made.event_id(record) != made.event_id(neighbour)
