"""Fields of an event as people write them: ``quantity=3``, ``lines[0].unit_price=19.99``, ``wave_id=null``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from consumers.replay.errors import InvalidEditError
from schemas.codec import Codec
from schemas.event import Event
from schemas.primitives import JSON

_STEP: Final = re.compile(r"\.?(?P<name>[A-Za-z_]\w*)|\[(?P<index>\d{1,5})\]", re.ASCII)
_WRITTEN_AS_JSON: Final = frozenset(
    {"int", "long", "boolean", "float", "double", "array", "map", "record", "null"}
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """A field by its path, and the text that it is to hold."""

    path: str
    text: str

    @classmethod
    def parse(cls, written: str) -> Assignment:
        """``FIELD=VALUE``; :class:`InvalidEditError` for anything else."""
        path, equals, text = written.partition("=")
        if not equals or not path:
            raise InvalidEditError(
                f"{written!r} is no assignment: write FIELD=VALUE, such as lines[0].quantity=2"
            )
        return cls(path.strip(), text)


def assign(
    fields: dict[str, Any], assignments: Sequence[Assignment], event: type[Event], codec: Codec
) -> dict[str, Any]:
    """``fields`` with what ``assignments`` say, in their order; the schema tells text from numbers.

    A field that may be null takes ``null``. An index one past the end of a list adds to it. Raises
    :class:`InvalidEditError` for a path that the schema of ``event`` does not have, or a value that it cannot hold.
    """
    told: dict[str, Any] = json.loads(json.dumps(fields))  # a copy to its depths: JSON in, JSON out
    for one in assignments:
        steps = _steps(one.path)
        schema: Any = codec.schema_of(event)
        holder: Any = told
        for number, step in enumerate(steps):
            schema = _inside(schema, step, one.path)
            if number == len(steps) - 1:
                _put(holder, step, _value(one, schema), one.path)
            else:
                holder = _into(holder, step, steps[number + 1], one.path)
    return told


def flattened(value: JSON | Mapping[str, JSON], path: str = "") -> dict[str, JSON]:
    """Every leaf of ``value`` by its path; an empty list or object is a leaf."""
    if isinstance(value, Mapping) and value:
        parts = [flattened(part, f"{path}.{name}" if path else name) for name, part in value.items()]
    elif isinstance(value, list) and value:
        parts = [flattened(part, f"{path}[{number}]") for number, part in enumerate(value)]
    else:
        return {path: value} if path else {}  # type: ignore[dict-item]  # an empty mapping is JSON
    return {name: leaf for part in parts for name, leaf in part.items()}


def _steps(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            raise InvalidEditError(f"{path!r} is no field: write it as errors do, lines[0].quantity")
        steps.append(found["name"] or int(found["index"]))
        at = found.end()
    return steps


def _inside(schema: Any, step: str | int, path: str) -> Any:
    plain = _not_null(schema)
    kind = plain.get("type") if isinstance(plain, Mapping) else plain
    if isinstance(step, int):
        if kind != "array":
            raise InvalidEditError(f"{path}: that is no list")
        return plain["items"]
    if kind != "record":
        raise InvalidEditError(f"{path}: {step} is inside of something that has no fields")
    for field in plain["fields"]:
        if field["name"] == step:
            return field["type"]
    names = ", ".join(field["name"] for field in plain["fields"])
    raise InvalidEditError(f"{path}: there is no field {step}; there are {names}")


def _not_null(schema: Any) -> Any:
    if isinstance(schema, list):
        return next((branch for branch in schema if branch != "null"), "null")
    return schema


def _value(one: Assignment, schema: Any) -> Any:
    if isinstance(schema, list) and "null" in schema and one.text == "null":
        return None
    plain = _not_null(schema)
    mapping = plain if isinstance(plain, Mapping) else {"type": plain}
    if "logicalType" in mapping or mapping["type"] not in _WRITTEN_AS_JSON:
        return one.text
    try:
        return json.loads(one.text)
    except ValueError:
        raise InvalidEditError(f"{one.path}: {one.text!r:.60} is no {mapping['type']}") from None


def _into(holder: Any, step: str | int, following: str | int, path: str) -> Any:
    empty: Any = [] if isinstance(following, int) else {}
    if isinstance(step, str):
        if holder.get(step) is None:
            holder[step] = empty
        return holder[step]
    if step == len(holder):
        holder.append(empty)
    return _item(holder, step, path)


def _put(holder: Any, step: str | int, value: Any, path: str) -> None:
    if isinstance(step, str):
        holder[step] = value
    elif step == len(holder):
        holder.append(value)
    else:
        _item(holder, step, path)
        holder[step] = value


def _item(holder: Any, step: int, path: str) -> Any:
    try:
        return holder[step]
    except IndexError:
        raise InvalidEditError(f"{path}: the list has {len(holder)} items") from None
