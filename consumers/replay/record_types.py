"""Which type of event a record holds, without decoding it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from consumers.runtime.record import ConsumedRecord
from schemas.errors import DecodeError
from schemas.lookup import SchemaLookup

TypeOf = Callable[[ConsumedRecord], Awaitable[str | None]]
"""Full name of the event in a record; ``None`` where neither its headers nor its schema id name one."""


def type_by_header_or_schema(lookup: SchemaLookup) -> TypeOf:
    """The rule of design §4: ``ce_type``, and without it the record's full name by its schema id."""

    async def type_of(record: ConsumedRecord) -> str | None:
        if named := record.header("ce_type"):
            return named
        try:
            return await lookup.type_of(record.value)
        except DecodeError:
            return None

    return type_of
