"""Bounds on what bytes of unknown origin may cost, in time and in memory.

What makes a few bytes expensive, each seen: values that take no bytes (five bytes of ``array<null>`` made thirty
million elements; twenty records, each of two of the one before it, took twenty seconds to read from no bytes at all),
a type nested so deep that reading it overflows the stack and kills the process (by itself, or through types that
name each other), and very many tiny items in a large value, each of which becomes a Python object. The writer's schema
is refused where it allows the first two (:func:`unbounded`), once; the third is what :class:`schemas.walk.Walk`
finds on the bytes without building anything, and only values above :data:`SMALL` pay for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SMALL: Final = 8192
"""Bytes up to which a value cannot break :class:`Limits`, so that nothing needs to be walked."""

_DEEP: Final = 32
"""Levels of nesting that a schema may have, types that are only named counted too."""
_TOO_DEEP: Final = f"it is nested more than {_DEEP} levels deep"
_PER_BYTE: Final = 4
"""Values that one byte may hold; a record of one number is two values in one byte."""
_FOR_NOTHING: Final = 1000
"""Values that a whole schema may hold beyond that, such as fields of the type null."""
_MANY: Final = 1_000_000

_LEAST_BYTES: Final = {
    "null": 0,
    "boolean": 1,
    "int": 1,
    "long": 1,
    "float": 4,
    "double": 8,
    "bytes": 1,
    "string": 1,
    "enum": 1,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one value may hold at most, in writing too, so that what is written can be read."""

    value: int = 1 << 20
    """Bytes of the whole value, framing included."""
    items: int = 5_000
    """Array items and map entries of the whole value, those inside of other items counted too."""
    values: int = 40_000
    """Values in those items: each item itself, and each of its fields."""
    text: int = 1 << 16
    """Bytes of one string or bytes field."""


def unbounded(schema: Any) -> str | None:
    """Why reading values of ``schema`` cannot be bounded; None when it can.

    Of what is accepted, a value of ``n`` bytes holds at most 1,000 + 4 n values, at most 32 levels deep.
    """
    try:
        size = _Measure().of(schema)
    except _UnboundedError as error:
        return str(error)
    return None if size.spare <= _FOR_NOTHING else "it has too many fields that take no bytes"


class _UnboundedError(Exception):
    """The reason is its message."""


@dataclass(frozen=True, slots=True)
class _Size:
    """Of any value of a schema: levels, and how many values it can have above ``_PER_BYTE`` for each of its bytes."""

    depth: int
    spare: int


class _Measure:
    """Measures one schema, each named type once, so that types which name each other twice cost nothing twice."""

    def __init__(self) -> None:
        self._known: dict[str, _Size | None] = {}

    def of(self, schema: Any, level: int = 0) -> _Size:
        if level > _DEEP:
            raise _UnboundedError(_TOO_DEEP)
        size = self._size(schema, level)
        if size.depth > _DEEP:
            raise _UnboundedError(_TOO_DEEP)
        return size

    def _size(self, schema: Any, level: int) -> _Size:
        if isinstance(schema, list):
            branches = [self.of(branch, level + 1) for branch in schema]
            return _above(branches, max((each.spare for each in branches), default=0) - _PER_BYTE)
        if not isinstance(schema, Mapping):
            return self._named(str(schema))
        kind = schema["type"]
        if kind in {"record", "error"}:
            return self._record(schema, level)
        if kind == "array":
            return self._repeated(self.of(schema["items"], level + 1))
        if kind == "map":
            value = self.of(schema["values"], level + 1)
            return self._repeated(_Size(value.depth, value.spare + 1 - _PER_BYTE))
        if kind in {"fixed", "enum"}:
            width = int(schema["size"]) if kind == "fixed" else 1
            if width < 0:
                raise _UnboundedError(f"{schema['name']} has {width} bytes")
            size = _Size(1, 1 - _PER_BYTE * width)
            self._known[str(schema["name"])] = size
            return size
        return self.of(kind, level + 1)

    def _named(self, name: str) -> _Size:
        if name in _LEAST_BYTES:
            return _Size(1, 1 - _PER_BYTE * _LEAST_BYTES[name])
        size = self._known[name]
        if size is None:
            raise _UnboundedError(f"{name} contains itself")
        return size

    def _record(self, schema: Mapping[str, Any], level: int) -> _Size:
        name = str(schema["name"])
        self._known[name] = None
        fields = [self.of(field["type"], level + 1) for field in schema["fields"]]
        size = _above(fields, 1 + sum(each.spare for each in fields))
        self._known[name] = size
        return size

    def _repeated(self, item: _Size) -> _Size:
        if item.spare > 0:
            raise _UnboundedError("an array has items that take no bytes, or too few for what they hold")
        return _above([item], 1 - _PER_BYTE)


def _above(parts: list[_Size], spare: int) -> _Size:
    depth = 1 + max((each.depth for each in parts), default=0)
    return _Size(depth, max(-_MANY, min(_MANY, spare)))
