"""A walk over the bytes of a value that builds nothing: it counts, and refuses what passes a limit.

A schema is turned into functions once, one for each of its types, each of which takes the bytes and a position and
returns the position behind its value. Avro's own decoder would build the items of an array before anybody could count
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from schemas.limits import Limits

_FIXED_WIDTH: Final = {"null": 0, "boolean": 1, "float": 4, "double": 8}

_Step = Callable[[bytes, int, "_Budget"], int]


class Walk:
    """Walks values of ``schema``, which must be bounded (:func:`schemas.limits.unbounded`), within ``limits``."""

    def __init__(self, schema: Any, limits: Limits) -> None:
        self._limits = limits
        self._named: dict[str, tuple[_Step, int]] = {}
        self._step, _ = self._compiled(schema)

    def __call__(self, value: bytes, position: int) -> int:
        """The position behind the value that begins at ``position``.

        Raises ValueError when a limit is passed, EOFError or IndexError when the bytes end too early.
        """
        return self._step(value, position, _Budget(self._limits.items, self._limits.values))

    def _compiled(self, schema: Any) -> tuple[_Step, int]:
        """How to pass a value of ``schema``, and the most values that it holds outside of arrays and maps."""
        if isinstance(schema, list):
            branches = [self._compiled(branch) for branch in schema]
            return _union([step for step, _ in branches]), max((weight for _, weight in branches), default=0)
        kind = schema["type"] if isinstance(schema, Mapping) else schema
        if kind in {"record", "error"}:
            fields = [self._compiled(field["type"]) for field in schema["fields"]]
            made: tuple[_Step, int] = (
                _record([step for step, _ in fields]),
                1 + sum(weight for _, weight in fields),
            )
        elif kind == "array":
            step, weight = self._compiled(schema["items"])
            made = (_blocks(step, weight), 1)
        elif kind == "map":
            step, weight = self._compiled(schema["values"])
            made = (_blocks(_record([_text(self._limits.text, "string"), step]), weight + 1), 1)
        elif kind == "fixed":
            made = (_skip(schema["size"]), 1)
        elif kind in {"int", "long", "enum"}:
            made = (_number, 1)
        elif kind in {"string", "bytes"}:
            made = (_text(self._limits.text, kind), 1)
        elif kind in _FIXED_WIDTH:
            made = (_skip(_FIXED_WIDTH[kind]), 1)
        elif isinstance(kind, (Mapping, list)):
            made = self._compiled(kind)
        else:
            made = self._named[kind]
        if isinstance(schema, Mapping) and "name" in schema:
            self._named[str(schema["name"])] = made
        return made


class _Budget:
    """What one value may still hold."""

    __slots__ = ("items", "most_items", "most_values", "values")

    def __init__(self, items: int, values: int) -> None:
        self.items = self.most_items = items
        self.values = self.most_values = values

    def take(self, count: int, weight: int) -> None:
        self.items -= count
        self.values -= count * weight
        if self.items < 0:
            raise ValueError(f"more than {self.most_items} items")
        if self.values < 0:
            raise ValueError(f"more than {self.most_values} values in items")


def _long(value: bytes, at: int) -> tuple[int, int]:
    raw = shift = 0
    while True:
        byte = value[at]
        at += 1
        raw |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (raw >> 1) ^ -(raw & 1), at
        shift += 7
        if shift > 63:
            raise ValueError("a number has no end")


def _number(value: bytes, at: int, _budget: _Budget) -> int:
    return at + 1 if value[at] < 0x80 else _long(value, at)[1]


def _text(most: int, kind: str) -> _Step:
    def step(value: bytes, at: int, _budget: _Budget) -> int:
        size = value[at]
        if size < 0x80 and not size & 1:  # most are short, and a call takes longer than this
            size, at = size >> 1, at + 1
        else:
            size, at = _long(value, at)
        if not 0 <= size <= most:
            raise ValueError(f"a {kind} of {size} bytes, more than {most}")
        if at + size > len(value):
            raise EOFError("the bytes end too early")
        return at + size

    return step


def _skip(size: int) -> _Step:
    def step(value: bytes, at: int, _budget: _Budget) -> int:
        if at + size > len(value):
            raise EOFError("the bytes end too early")
        return at + size

    return step


def _record(steps: list[_Step]) -> _Step:
    def step(value: bytes, at: int, budget: _Budget) -> int:
        for each in steps:
            at = each(value, at, budget)
        return at

    return step


def _union(steps: list[_Step]) -> _Step:
    def step(value: bytes, at: int, budget: _Budget) -> int:
        branch = value[at]
        if branch < 0x80 and not branch & 1:
            branch, at = branch >> 1, at + 1
        else:
            branch, at = _long(value, at)
        if not 0 <= branch < len(steps):
            raise ValueError(f"a union has no branch {branch}")
        return steps[branch](value, at, budget)

    return step


def _blocks(item: _Step, weight: int) -> _Step:
    def step(value: bytes, at: int, budget: _Budget) -> int:
        while True:
            count, at = _long(value, at)
            if count == 0:
                return at
            if count < 0:
                count = -count
                _, at = _long(
                    value, at
                )  # size of the block in bytes, which nobody needs and anybody may make up
            budget.take(count, weight)
            for _ in range(count):
                at = item(value, at, budget)

    return step
