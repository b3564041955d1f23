"""Payloads that mean harm, and what decoding them costs: for the property tests and for the benchmark of the bridge.

``mutated`` spoils events of every schema, as they are written today and by a newer writer; what a person would write
is in :mod:`tests.hostile_avro`. ``examine`` decodes payloads and says what escaped, how many were events, and which
one took longest. ``slowest_payload`` is that for one who only wants the figure.
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import fastavro

from schemas.catalog import Catalog
from schemas.codec import Codec
from schemas.errors import DecodeError
from schemas.event import Event
from schemas.events import EVENTS
from schemas.ids import SchemaIds
from tests.hostile_avro import by_hand, frame, teach_hostile_writers

CAP: Final = 64 * 1024 * 1024
"""Bytes that decoding may take at most. Source: issue 5, "nothing allocates past its cap"."""

_NEWER: Final = 1000
"""Ids of newer writers: that of the event, and so much."""
_TRAP: Final[dict[str, Any]] = {
    "name": "trap",
    "type": {
        "type": "map",
        "values": {
            "type": "array",
            "items": {
                "type": "record",
                "name": "TrapItem",
                "fields": [
                    {"name": "raw", "type": ["null", "bytes", "double"]},
                    {"name": "fixed", "type": {"type": "fixed", "name": "TrapFixed", "size": 7}},
                    {"name": "kind", "type": {"type": "enum", "name": "TrapKind", "symbols": ["A", "B"]}},
                ],
            },
        },
    },
    "default": {},
}
"""A field of a newer writer that this release passes over: every Avro type that the catalog itself does without."""


@dataclass(slots=True)
class Report:
    """What came of decoding. ``escaped`` counts what was raised and is no DecodeError, or was misread, by name."""

    events: int = 0
    refused: int = 0
    slowest_ms: float = 0.0
    slowest: str = ""
    escaped: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> str:
        """One line for the process that asked."""
        return json.dumps(
            {
                "events": self.events,
                "refused": self.refused,
                "slowest_ms": round(self.slowest_ms, 3),
                "slowest": self.slowest,
                "escaped": dict(self.escaped),
            }
        )


def codec_with_newer_writers() -> Codec:
    """A codec that knows, beside each event's own schema, a writer of tomorrow with a field more."""
    codec = Codec(SchemaIds.local())
    for number, event in enumerate(Catalog.load().events, 1):
        codec.learn(_NEWER + number, {**event.schema, "fields": [*event.schema["fields"], _TRAP]})
    return codec


def examine(
    decode: Callable[[bytes], Event],
    payloads: Iterable[tuple[str, bytes]],
    again: Callable[[Event], bytes] | None = None,
) -> Report:
    """Decode all of ``payloads`` (a name, bytes); with ``again``, what is an event must survive being encoded."""
    report = Report()
    for name, value in payloads:
        began = time.thread_time()  # what it costs, whoever else wants the processor meanwhile
        try:
            event = decode(value)
        except DecodeError as error:
            report.refused += 1
            if len(str(error)) > 500 or "\n" in str(error):
                report.escaped[f"{name}: a message of {len(str(error))} characters"] += 1
        except Exception as error:
            report.escaped[f"{name}: {type(error).__name__}"] += 1
        else:
            report.events += 1
            if again is not None and event.key and decode(again(event)) != event:
                report.escaped[f"{name}: another event"] += 1
        took = (time.thread_time() - began) * 1000
        if took > report.slowest_ms:
            report.slowest_ms, report.slowest = took, name
    return report


def slowest_payload(rounds: int = 3) -> tuple[float, str]:
    """Milliseconds of the payload by hand that takes longest to decode, the best of ``rounds`` each; its name."""
    codec = codec_with_newer_writers()
    teach_hostile_writers(codec)
    took = {
        name: min(examine(codec.decode, [(name, value)]).slowest_ms for _ in range(rounds))
        for name, value in by_hand(codec)
    }
    name = max(took, key=took.__getitem__)
    return took[name], name


# -- events, spoilt ------------------------------------------------------------------------------------------------


def mutated(codec: Codec, seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """``count`` events of all schemas with one to three things wrong; the same for the same ``seed``."""
    chance = random.Random(seed)
    whole = list(sound(codec, chance, each=6))
    pick, change = chance.choice, list(_CHANGES.items())
    for _ in range(count):
        event, value = pick(whole)
        spoilt = bytearray(value)
        name = ""
        for _ in range(int(chance.random() * 3) + 1):
            name, spoil = pick(change)
            spoil(spoilt, chance, whole)
        yield f"{name} in {event}", bytes(spoilt)


def sound(codec: Codec, chance: random.Random, *, each: int) -> Iterator[tuple[str, bytes]]:
    """Events of every schema as they are written today, and as a newer writer would write them."""
    for number, (schema, event) in enumerate(zip(Catalog.load().events, EVENTS, strict=True), 1):
        for _ in range(each):
            record = _any(schema.schema, chance)
            record[schema.key] = f"k-{chance.getrandbits(32)}"
            value = codec.encode(event.from_record(record))
            yield event.__name__, value
            yield f"a newer {event.__name__}", frame(_NEWER + number) + value[5:] + _trap(chance)


def _any(type_: Any, chance: random.Random) -> Any:
    if isinstance(type_, list):
        return _any(chance.choice(type_), chance)
    if isinstance(type_, dict):
        if type_["type"] == "record":
            return {part["name"]: _any(part["type"], chance) for part in type_["fields"]}
        if type_["type"] == "array":
            return [_any(type_["items"], chance) for _ in range(chance.randrange(4))]
        if type_.get("logicalType") == "decimal":
            return chance.randrange(10 ** int(type_["precision"])).to_bytes(8, "big", signed=True)
        return _any(type_["type"], chance)
    return {
        "null": None,
        "string": "".join(chance.choices("abcXYZ 0123-é漢", k=chance.randrange(24))),
        "boolean": chance.random() < 0.5,
        "int": chance.randrange(-(2**31), 2**31),
        "long": chance.randrange(2**50),
    }[type_]


@cache
def _trap_schema() -> Any:
    return fastavro.parse_schema(_TRAP["type"])


def _trap(chance: random.Random) -> bytes:
    items = [
        {"raw": chance.choice([None, b"\x00\xff", 0.5]), "fixed": bytes(7), "kind": chance.choice("AB")}
        for _ in range(chance.randrange(3))
    ]
    sink = BytesIO()
    fastavro.schemaless_writer(sink, _trap_schema(), {"a": items, "": []})
    return sink.getvalue()


def _at(value: bytearray, chance: random.Random) -> int:
    return (
        int(chance.random() * len(value)) if len(value) <= 5 else 5 + int(chance.random() * (len(value) - 5))
    )


_NUMBERS: Final = [
    b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # the largest long
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # the least
    b"\xfe\xff\xff\xff\x0f",  # the largest int
    b"\x80\xc8\xd0\x07",  # eight million
    b"\x01",  # minus one
    b"\x80" * 12,  # a number without an end
]

_CHANGES: Final[dict[str, Callable[[bytearray, random.Random, list[tuple[str, bytes]]], None]]] = {}


def _change(
    spoil: Callable[[bytearray, random.Random, list[tuple[str, bytes]]], None],
) -> Callable[[bytearray, random.Random, list[tuple[str, bytes]]], None]:
    _CHANGES[spoil.__name__.strip("_")] = spoil
    return spoil


@_change
def _flip(value: bytearray, chance: random.Random, _whole: list[tuple[str, bytes]]) -> None:
    if value:
        value[_at(value, chance)] ^= 1 << int(chance.random() * 8)


@_change
def _cut(value: bytearray, chance: random.Random, _whole: list[tuple[str, bytes]]) -> None:
    del value[_at(value, chance) :]


@_change
def _insertion(value: bytearray, chance: random.Random, _whole: list[tuple[str, bytes]]) -> None:
    at = _at(value, chance)
    value[at:at] = chance.randbytes(int(chance.random() * 9) + 1)


@_change
def _length_bomb(value: bytearray, chance: random.Random, _whole: list[tuple[str, bytes]]) -> None:
    at = _at(value, chance)
    value[at : at + 1] = chance.choice(_NUMBERS)


@_change
def _splice(value: bytearray, chance: random.Random, whole: list[tuple[str, bytes]]) -> None:
    _, other = chance.choice(whole)
    value[_at(value, chance) :] = other[_at(bytearray(other), chance) :]


@_change
def _doubling(value: bytearray, chance: random.Random, _whole: list[tuple[str, bytes]]) -> None:
    value += value[_at(value, chance) :]


@_change
def _other_schema(value: bytearray, chance: random.Random, whole: list[tuple[str, bytes]]) -> None:
    value[:5] = chance.choice(whole)[1][:5]


# -- in a process of its own ---------------------------------------------------------------------------------------


def capped() -> None:
    """What a forked process runs, ``hostile WHAT SEED COUNT``: all of it within 64 MiB more than it began with."""
    _, what, seed, count = sys.argv
    codec = codec_with_newer_writers()
    payloads: Iterable[tuple[str, bytes]] = mutated(codec, int(seed), int(count))
    if what == "by-hand":
        teach_hostile_writers(codec)
        payloads = list(by_hand(codec))
    cap_memory()
    sys.stdout.write(examine(codec.decode, payloads, codec.encode).as_json() + "\n")


def cap_memory() -> None:
    """From now on this process may take :data:`CAP` more."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + CAP,) * 2)
