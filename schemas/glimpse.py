"""What can be read of a value that is no event: its fields up to the first that does not hold what its schema says.

For people who look at a dead letter, not for the path of an event: slow, and content with less.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.limits import Limits, unbounded
from schemas.primitives import JSON, amount, instant, instant_text

_DOUBLE: Final = struct.Struct("<d")
_FLOAT: Final = struct.Struct("<f")


@dataclass(frozen=True, slots=True)
class Glimpse:
    """``fields`` as JSON, those before the fault; ``fault`` says where and what, and shows nothing of the value."""

    fields: dict[str, JSON]
    fault: str


def glimpse(schema: Mapping[str, Any], value: bytes, position: int, limits: Limits) -> Glimpse:
    """The fields of the record that begins at ``position``, as far as they can be read as ``schema``."""
    fields: dict[str, JSON] = {}
    try:
        reason = unbounded(schema)
    except (RecursionError, KeyError, TypeError) as error:
        reason = type(error).__name__
    if reason:
        return Glimpse(fields, f"its schema is not read: {reason}")
    reading = _Reading(value, position, limits)
    for field in schema["fields"]:
        name = str(field["name"])
        try:
            fields[name] = reading.of(field["type"], name)
        except _FaultError as fault:
            if fault.before is not None:
                fields[name] = fault.before
            return Glimpse(fields, str(fault))
    left = len(value) - reading.at
    return Glimpse(fields, f"{left} bytes are left over behind the last field" if left else "")


class _FaultError(Exception):
    """The fault is its message; ``before`` is what was read of the value that it is in."""

    before: JSON = None


class _Reading:
    def __init__(self, value: bytes, at: int, limits: Limits) -> None:
        self._value = value
        self.at = at
        self._limits = limits
        self._items = limits.items
        self._named: dict[str, Any] = {}

    def of(self, type_: Any, path: str) -> JSON:
        began = self.at
        try:
            return self._of(type_, path)
        except (ValueError, OverflowError, IndexError, KeyError, struct.error) as error:
            why = "the bytes end too early" if isinstance(error, (IndexError, struct.error)) else str(error)
            raise _FaultError(f"field {path}, at byte {began}: {why}") from error

    def _of(self, type_: Any, path: str) -> JSON:
        if isinstance(type_, list):
            branch = self._long()
            if not 0 <= branch < len(type_):
                raise ValueError(f"there is no branch {branch}")
            return self.of(type_[branch], path)
        schema: Mapping[str, Any] = type_ if isinstance(type_, Mapping) else {"type": type_}
        if "name" in schema:
            self._named[str(schema["name"])] = schema
        kind = schema["type"]
        if kind == "record":
            return self._record(schema, path)
        if kind == "array":
            return self._array(schema, path)
        if kind == "map":
            return {self._text(): self.of(schema["values"], path) for _ in self._entries()}
        if isinstance(kind, (Mapping, list)):
            return self.of(kind, path)
        if kind not in _PRIMITIVES and kind not in {"fixed", "enum"}:
            return self.of(self._named[kind], path)
        return self._primitive(kind, schema)

    def _record(self, schema: Mapping[str, Any], path: str) -> JSON:
        made: dict[str, JSON] = {}
        for part in schema["fields"]:
            try:
                made[part["name"]] = self.of(part["type"], f"{path}.{part['name']}")
            except _FaultError as fault:
                fault.before = made if fault.before is None else {**made, part["name"]: fault.before}
                raise
        return made

    def _array(self, schema: Mapping[str, Any], path: str) -> JSON:
        made: list[JSON] = []
        for number in self._entries():
            try:
                made.append(self.of(schema["items"], f"{path}[{number}]"))
            except _FaultError as fault:
                fault.before = made if fault.before is None else [*made, fault.before]
                raise
        return made

    def _primitive(self, kind: str, schema: Mapping[str, Any]) -> JSON:
        logical = schema.get("logicalType")
        if kind in {"bytes", "fixed"}:
            raw = self._raw(self._size() if kind == "bytes" else int(schema["size"]))
            if logical == "decimal":
                return str(amount(raw, int(schema["precision"]), int(schema.get("scale", 0))))
            return f"0x{raw.hex()}"
        if kind == "long" and logical == "timestamp-micros":
            return instant_text(instant(self._long()))
        if kind == "enum":
            symbols, number = schema["symbols"], self._long()
            if not 0 <= number < len(symbols):
                raise ValueError(f"there is no symbol {number}")
            return str(symbols[number])
        if kind == "int":
            number = self._long()
            if not -0x80000000 <= number <= 0x7FFFFFFF:
                raise ValueError("does not fit 32 bits")
            return number
        read = {
            "null": lambda: None,
            "boolean": lambda: self._raw(1) != b"\x00",
            "long": self._long,
            "float": lambda: _FLOAT.unpack(self._raw(4))[0],
            "double": lambda: _DOUBLE.unpack(self._raw(8))[0],
            "string": self._text,
        }[kind]
        result: JSON = read()
        return result

    def _entries(self) -> Any:
        number = 0
        while count := self._long():
            if count < 0:
                count = -count
                self._long()
            self._items -= count
            if self._items < 0:
                raise ValueError(f"more than {self._limits.items} items")
            for _ in range(count):
                yield number
                number += 1

    def _text(self) -> str:
        try:
            return self._raw(self._size()).decode()
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8") from None

    def _size(self) -> int:
        size = self._long()
        if not 0 <= size <= self._limits.text:
            raise ValueError(f"a length of {size} bytes")
        return size

    def _raw(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self._value):
            raise ValueError("the bytes end too early")
        raw, self.at = self._value[self.at : end], end
        return raw

    def _long(self) -> int:
        raw = shift = 0
        while True:
            byte = self._value[self.at]
            self.at += 1
            raw |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (raw >> 1) ^ -(raw & 1)
            shift += 7
            if shift > 63:
                raise ValueError("a number has no end")


_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
