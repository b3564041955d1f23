"""What this project asks of an event's schema beyond Avro: it is documented, exact, and bounded.

Sources: issue 3, point 3; design §11, "Fields" and "Money"; style, "Names".
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from fastavro import parse_schema

from schemas.catalog import EventSchema, canonical, qualified
from schemas.limits import unbounded

MONEY: Final = (18, 2)
"""Precision and scale of an amount of money."""
FRACTION: Final = (5, 4)
"""Precision and scale of a fraction, such as a discount."""

_FIELD: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_RECORD: Final = re.compile(r"([A-Z][a-z0-9]*)+")
_PLAIN: Final = {"string": str, "bytes": str, "boolean": bool, "int": int, "long": int}


def broken_rules(event: EventSchema) -> list[str]:
    """Each rule that the schema of ``event`` breaks, as one line: the event, the field, what to do."""
    try:
        parse_schema(json.loads(json.dumps(event.schema)))
    except Exception as error:  # fastavro's errors for a broken schema are of many kinds
        return [f"{event.topic}/{event.name}: no Avro schema: {error}"]
    return [f"{event.type}{'.' + path if path else ''}: {what}" for path, what in _broken(event)]


def unkept(event: EventSchema) -> str | None:
    """Why the current schema of ``event`` is not the newest version kept; None when it is."""
    if event.versions and canonical(event.versions[-1].schema) == canonical(event.schema):
        numbers = [version.number for version in event.versions]
        if numbers == list(range(1, len(numbers) + 1)):
            return None
        return (
            f"{event.type}: versions {numbers} are kept, not 1 to {len(numbers)}; put the missing ones back"
        )
    change = "changed since version " + str(event.version) if event.versions else "new"
    return f"{event.type}: the schema is {change} and not kept: run `python -m schemas.generate --keep`"


def _broken(event: EventSchema) -> Iterator[tuple[str, str]]:
    schema = event.schema
    if schema.get("name") != event.name:
        yield "", f"the file is called {event.name}.avsc, the record {schema.get('name')}; give them one name"
    if schema.get("namespace") != f"tidegate.{event.topic}":
        yield "", f"the namespace is {schema.get('namespace')}; it must be tidegate.{event.topic}"
    keys = [field for field in schema["fields"] if field["name"] == event.key]
    if not keys or keys[0]["type"] != "string":
        yield "", '"key" must name a string field of the record: its value is the key in Kafka'
    amounts = f'"precision":{MONEY[0]},"scale":{MONEY[1]}' in canonical(schema)
    if amounts and all(field["name"] != "currency" for field in schema["fields"]):
        yield "", "it holds money but no field currency"
    reason = unbounded(qualified(schema))
    if reason:
        yield "", f"{reason}; such bytes cost unbounded time or memory"
    yield from _record(schema, "")


def _record(schema: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    if not str(schema.get("doc", "")).strip():
        yield path, 'the record has no "doc": say what happened, for readers who see only the schema'
    if not _RECORD.fullmatch(str(schema.get("name", ""))):
        yield path, f"a record is called InCapitals, not {schema.get('name')}"
    for field in schema["fields"]:
        inner = f"{path}.{field['name']}" if path else str(field["name"])
        if not str(field.get("doc", "")).strip():
            yield inner, 'the field has no "doc": say what it holds, and its unit'
        if not _FIELD.fullmatch(field["name"]):
            yield inner, "a field is called in_small_letters"
        if "default" in field:
            yield from _default(field["type"], field["default"], inner)
        yield from _type(field["type"], field["name"], inner)


def _type(type_: Any, name: str, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(type_, list):
        branches = [branch for branch in type_ if branch != "null"]
        if len(branches) != 1 or len(type_) != 2:
            yield path, "a union is null and one other type"
        for branch in branches:
            yield from _type(branch, name, path)
        return
    kind = type_["type"] if isinstance(type_, dict) else type_
    logical = type_.get("logicalType") if isinstance(type_, dict) else None
    if kind == "record":
        yield from _record(type_, path)
    elif kind == "array":
        yield from _type(type_["items"], name, f"{path}[]")
    elif kind in {"float", "double"}:
        yield path, "floating point is not exact: use a decimal for amounts, an int for counts"
    elif logical == "decimal":
        size = (type_["precision"], type_.get("scale", 0))
        if kind != "bytes" or size not in {MONEY, FRACTION}:
            yield path, f"money is bytes with decimal{MONEY}, a fraction decimal{FRACTION}; not {kind}{size}"
    elif logical is not None and logical != "timestamp-micros":
        yield path, f"logical type {logical} is not used here: time is timestamp-micros, ids are strings"
    elif name.endswith("_at") and logical != "timestamp-micros":
        yield path, "a field that ends in _at is a time: long with timestamp-micros"
    elif kind not in _PLAIN:
        yield path, f"type {kind} is not used here: codes are strings, so that they can grow"


def _default(type_: Any, default: Any, path: str) -> Iterator[tuple[str, str]]:
    """A default is a value of the type; of the first branch, in a union (older readers know no other)."""
    first = type_[0] if isinstance(type_, list) else type_
    kind = first["type"] if isinstance(first, dict) else first
    if kind == "null":
        fits = default is None
    elif kind == "array":
        fits = default == []
    elif kind in {"int", "long"}:
        bits = 31 if kind == "int" else 63
        fits = type(default) is int and -(2**bits) <= default < 2**bits
    elif kind in {"string", "bytes", "boolean"}:
        fits = isinstance(default, _PLAIN[kind])
    else:
        fits = False
    if not fits:
        yield path, f"the default {json.dumps(default)} is no {kind}; in a union the first branch counts"
