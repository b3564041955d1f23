"""Avro that means harm, as a person who knows it would write it: values, and schemas registered by somebody else."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from schemas.catalog import Catalog
from schemas.codec import Codec
from schemas.events import OrderLine, OrderSubmitted
from schemas.primitives import amount_of

_LONGEST: Final = 1 << 20
A_MILLION_LINES: Final = "an order of a million empty lines"
"""The name of a payload that takes more than :data:`CAP` where nothing counts."""

_OWN: Final = 5000
"""Ids of the hostile writers."""


def teach_hostile_writers(codec: Codec) -> None:
    """Let ``codec`` learn the schemas of those who registered a trap under the name of an event."""
    for number, (_, fields) in enumerate(writers()):
        codec.learn(_OWN + number, _order_with(fields))


def by_hand(codec: Codec) -> Iterator[tuple[str, bytes]]:
    """Hostile values, by name: against the schema of an order, and of writers that set a trap in theirs."""
    order = codec.encode(AN_ORDER)[:5]
    head = _text(b"o") + _text(b"r") + _text(b"c") + _text(b"EUR") + _long(0)
    line = _text(b"A") + _long(2) + _text(b"\x07") + _text(b"\x01")
    room = _LONGEST - 200
    longest = order + head + _long(5000) + line * 5000 + b"\x00"
    yield (
        "the longest array of the least items",
        longest,
    )  # an event as it should be: only its size is meant ill
    yield "the same, and a byte more", longest + b"\x00"
    yield "an array of a million nothings", order + head + _long(10**6) + bytes(room) + b"\x00"
    yield A_MILLION_LINES, order + head + _long(10**6) + bytes(4 * _LONGEST)
    yield "a block of 2^62 items", order + head + _long(2**62) + bytes(room)
    yield "2^62 items, few bytes", order + head + _long(2**62) + bytes(100)
    yield "the least count", order + head + _long(-(2**63)) + _long(0) + bytes(100)
    yield "a million blocks of one", order + head + (_long(1) + line) * (room // (len(line) + 1)) + b"\x00"
    yield (
        "blocks that lie about their size",
        order + head + (_long(-1) + _long(2**40) + line) * 900 + b"\x00\x00",
    )
    yield "blocks of minus one byte", order + head + (_long(-1) + _long(-1) + line) * 900 + b"\x00\x00"
    yield "a string of 2^40 bytes", order + _long(2**40) + bytes(room)
    yield "a string of minus a byte", order + _long(-1) + bytes(100)
    yield "a string of a megabyte", order + _long(room) + bytes(room)
    yield "a decimal of a megabyte", order + head + _long(1) + _text(b"A") + _long(1) + _text(b"\x7f" * room)
    yield "a decimal of 8 kilobytes", order + head + _long(1) + _text(b"A") + _long(1) + _text(b"\x7f" * 8000)
    yield "text that is no UTF-8", order + _text(b"\xc3\x28") + head
    yield "an overlong zero", order + _text(b"\xc0\x80") + head
    yield "half a surrogate", order + _text(b"\xed\xa0\x80") + head
    yield "a number of a megabyte", order + b"\x80" * room + b"\x00"
    yield "a number of 8 kilobytes", order + b"\x80" * 8000 + b"\x00"
    yield "nothing but zeros", order + bytes(room)
    yield "nothing but ones", order + b"\xff" * room
    yield "two megabytes", order + bytes(2 * room)
    for number, (name, _) in enumerate(writers()):
        for kind, body in _bodies(head + b"\x00\x00"):
            yield f"{name}, {kind}", frame(_OWN + number) + body


def _bodies(head: bytes) -> Iterator[tuple[str, bytes]]:
    room = _LONGEST - 200
    yield "nothing behind", head
    yield "zeros behind", head + bytes(8000)
    yield "a megabyte of zeros", head + bytes(room)
    yield "a huge block", head + _long(2**31) + bytes(8000)
    yield "a huge block and a megabyte", head + _long(900_000) + b"\x02" * room
    yield "the largest block of 8 kilobytes", head + _long(8000) + bytes(8000) + b"\x00"
    yield "the same key, ever again", head + _long(4000) + (_text(b"k") + b"\x00") * 4000 + b"\x00"
    yield (
        "many keys",
        head + _long(4900) + b"".join(_text(b"%07d" % n) + _text(b"") for n in range(4900)) + b"\x00",
    )


@cache
def writers() -> list[tuple[str, list[dict[str, Any]]]]:
    """Schemas that somebody registered under the name of an event, by their trap."""

    def one(type_: Any) -> list[dict[str, Any]]:
        return [{"name": "trap", "type": type_}]

    nested: Any = "int"
    for _ in range(5000):
        nested = {"type": "array", "items": nested}
    nulls = [{"name": f"n{number}", "type": "null"} for number in range(3000)]
    hundred = [{"name": f"i{number}", "type": "int"} for number in range(100)]
    return [
        ("array of null", one({"type": "array", "items": "null"})),
        ("map of null", one({"type": "map", "values": "null"})),
        ("map of text", one({"type": "map", "values": "string"})),
        ("array of empty records", one({"type": "array", "items": _record("E", [])})),
        ("array of empty fixed", one({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}})),
        ("array of nulls in a record", one({"type": "array", "items": _record("N", nulls)})),
        (
            "array of one byte and nulls",
            one({"type": "array", "items": _record("N", [*hundred[:1], *nulls])}),
        ),
        ("array of a hundred numbers", one({"type": "array", "items": _record("H", hundred)})),
        ("array of null or that", one({"type": "array", "items": ["null", _record("H", hundred)]})),
        ("fields of null", nulls),
        ("a type that holds itself", one(_record("L", [{"name": "x", "type": ["null", "L"]}]))),
        ("five thousand levels", one(nested)),
        ("sixty levels, each of two", _ladder(60, lambda below: [below, below])),
        ("three thousand levels by name", _ladder(3_000, lambda below: [below])),
        ("twenty thousand levels, a number in each", _ladder(20_000, lambda below: ["int", below])),
        ("a fixed of 2^40", one({"type": "fixed", "name": "F", "size": 2**40})),
        ("a fixed of less than nothing", one({"type": "fixed", "name": "F", "size": -5})),
    ]


def _ladder(levels: int, parts: Callable[[str], list[str]]) -> list[dict[str, Any]]:
    """Fields of types that each hold the one before; the schema itself stays flat."""
    types = [_record("R0", [])]
    for level in range(1, levels):
        below = parts(f"R{level - 1}")
        types.append(_record(f"R{level}", [{"name": f"p{n}", "type": one} for n, one in enumerate(below)]))
    return [{"name": f"f{number}", "type": ["null", type_]} for number, type_ in enumerate(types)] + [
        {"name": "last", "type": f"R{levels - 1}"}
    ]


def _record(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": fields}


def _order_with(fields: list[dict[str, Any]]) -> dict[str, Any]:
    schema = Catalog.load().of("OrderSubmitted").schema
    return {**schema, "fields": [*schema["fields"], *fields]}


AN_ORDER: Final = OrderSubmitted(
    order_id="o",
    request_id="r",
    customer_id="c",
    currency="EUR",
    ordered_at=datetime(2026, 11, 1, tzinfo=UTC),
    lines=(
        OrderLine(sku="A", quantity=1, unit_price=amount_of("1.00", 18, 2), discount=amount_of("0", 5, 4)),
    ),
)


def frame(schema_id: int) -> bytes:
    """What a value with this schema id begins with."""
    return struct.pack(">bI", 0, schema_id)


def _long(number: int) -> bytes:
    raw = (number << 1) ^ (number >> 63)
    out = bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)
    return bytes(out)


def _text(raw: bytes) -> bytes:
    return _long(len(raw)) + raw
