"""A record for reading: its payload decoded, or what of it can be, or its bytes."""

from __future__ import annotations

from typing import Any

from consumers.runtime.record import ConsumedRecord
from schemas.codec import Codec
from schemas.errors import DecodeError
from schemas.lookup import SchemaLookup


async def payload_of(record: ConsumedRecord, codec: Codec, lookup: SchemaLookup) -> dict[str, Any]:
    """``payload`` as JSON fields, and nothing else, where the value is an event.

    Where it is none: ``payload`` in hexadecimal, ``unreadable`` says why, ``partial`` holds the fields before the
    fault and ``fault`` says where it is, ``text`` is the value where it is text and no Avro at all.
    Raises RegistryUnavailableError while a schema cannot be had.
    """
    value = record.value
    try:
        return {"payload": (await lookup.decode(value)).to_json()}
    except DecodeError as error:
        shown: dict[str, Any] = {"payload": None if value is None else value.hex(), "unreadable": str(error)}
    seen = codec.glimpse(value, record.header("ce_type"))
    if seen is not None:
        shown |= {"partial": seen.fields, "fault": seen.fault or None}
    elif text := _text(value):
        shown["text"] = text
    return shown


def _text(value: bytes | None) -> str | None:
    try:
        text = (value or b"").decode()
    except UnicodeDecodeError:
        return None
    return text if text.replace("\n", "").replace("\t", "").isprintable() else None
