"""Which field of an event does not fit its schema: asked only after encoding has failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas import primitives
from schemas.event import Record


def misfit(event: Record, schema: dict[str, Any]) -> str | None:
    """The first field of ``event`` that ``schema`` cannot hold, with its value and the reason."""
    return _record(event, schema, "")


def _record(value: Any, schema: dict[str, Any], path: str) -> str | None:
    for field in schema["fields"]:
        name = f"{path}{field['name']}"
        if not hasattr(value, field["name"]):
            return f"field {name} is missing"
        reason = _value(getattr(value, field["name"]), field["type"], name)
        if reason:
            return reason
    return None


def _value(value: Any, type_: Any, path: str) -> str | None:
    if isinstance(type_, list):
        if value is None and "null" in type_:
            return None
        return _value(value, next(branch for branch in type_ if branch != "null"), path)
    if isinstance(type_, dict) and type_["type"] == "record":
        return _record(value, type_, f"{path}.")
    if isinstance(type_, dict) and type_["type"] == "array":
        if not isinstance(value, (tuple, list)):
            return _says(path, value, "is not a tuple", "array")
        reasons = (_value(item, type_["items"], f"{path}[{at}]") for at, item in enumerate(value))
        return next((reason for reason in reasons if reason), None)
    try:
        _check(type_)(value)
    except (ValueError, TypeError, OverflowError) as error:
        return _says(path, value, str(error), _named(type_))
    return None


def _check(type_: Any) -> Callable[[Any], object]:
    if isinstance(type_, dict) and type_.get("logicalType") == "decimal":
        return lambda value: primitives.amount_bytes(value, type_["precision"], type_.get("scale", 0))
    if isinstance(type_, dict) and type_.get("logicalType") == "timestamp-micros":
        return primitives.micros
    name = type_["type"] if isinstance(type_, dict) else type_
    checks: dict[str, Callable[[Any], object]] = {
        "string": lambda value: primitives.text(value).encode(),
        "boolean": primitives.truth,
        "int": primitives.int32,
        "long": primitives.int64,
    }
    return checks.get(name, lambda value: value)


def _named(type_: Any) -> str:
    if isinstance(type_, dict) and type_.get("logicalType") == "decimal":
        return f"decimal({type_['precision']},{type_.get('scale', 0)})"
    return str(type_.get("logicalType", type_["type"]) if isinstance(type_, dict) else type_)


def _says(path: str, value: object, reason: str, type_: str) -> str:
    # Text may be personal (a name in the wrong field), and errors are logged: say how long it is, not what.
    shown = f"text of {len(value)} characters" if isinstance(value, str) else f"{value!r:.60}"
    return f"field {path} ({type_}): {shown} {reason}"
