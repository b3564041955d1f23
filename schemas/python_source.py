"""The Python text of the typed events of one topic, from their schemas.

Pure: schemas in, text out. ``schemas.generate`` writes it to files. Nested records become classes of the
same module; a record that two events of a topic share must be the same in both.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from schemas.catalog import EventSchema, Schema, canonical, full_name
from schemas.errors import SchemaError

HEADER = "# Generated from schemas/avro by `python -m schemas.generate`. Do not edit.\n"
WIDTH = 106

_PLAIN = {
    "string": ("str", "text"),
    "boolean": ("bool", "truth"),
    "int": ("int", "int32"),
    "long": ("int", "int64"),
}


@dataclass(frozen=True, slots=True)
class _Field:
    """A field's Python type, and the expressions that convert ``x`` into and out of Avro and JSON."""

    name: str
    doc: str
    type: str
    default: str | None
    to_avro: str
    of_avro: str
    to_json: str
    of_json: str


def module_name(topic: str) -> str:
    """The module of ``schemas.events`` that holds the events of ``topic``."""
    return topic.replace(".", "_").replace("-", "_")


def module_source(topic: str, events: Sequence[EventSchema]) -> str:
    """The module with the typed events of ``topic``; SchemaError names a type that has no Python form."""
    nested: dict[str, Schema] = {}
    for event in events:
        for record in _nested(event.schema):
            known = nested.setdefault(record["name"], record)
            if canonical(known) != canonical(record):
                raise SchemaError(f"{event.type}: {record['name']} differs from the one in another event")
    classes = [_class(record, "Record", f"tidegate.{topic}.{name}", {}) for name, record in nested.items()]
    for event in events:
        constants = {"TOPIC": topic, "KEY": event.key}
        classes.append(_class(event.schema, "Event", event.type, constants))
    names = sorted([*nested, *(event.name for event in events)])
    body = "\n\n".join(classes)
    helpers = [name for name in _HELPERS if re.search(rf"\b{name}[(,)]", body)]
    text = f'{HEADER}"""Events of the topic ``{topic}``."""\n\n{_imports(body, helpers)}\n'
    return text + f"__all__ = {names!r}\n\n\n" + body


def package_source(topics: Mapping[str, Sequence[str]], events: Sequence[str]) -> str:
    """The ``__init__`` of ``schemas.events``: every class of ``topics``, and ``EVENTS``, all ``events``."""
    lines = [
        HEADER + '"""Typed events of every topic, made from ``schemas/avro``."""\n',
        "from __future__ import annotations\n",
    ]
    lines += ["from typing import Final\n", "from schemas.event import Event"]
    names = ["EVENTS"]
    for topic, classes in topics.items():
        lines.append(f"from schemas.events.{module_name(topic)} import ({', '.join(sorted(classes))},)")
        names += classes
    lines.append(f"\n__all__ = {sorted(names)!r}\n")
    lines.append(f"EVENTS: Final[tuple[type[Event], ...]] = ({', '.join(events)},)")
    lines.append('"""Every event class, by topic and name."""\n')
    return "\n".join(lines)


_HELPERS = (
    *(
        "amount",
        "amount_bytes",
        "amount_of",
        "amount_text",
        "instant",
        "instant_of",
        "instant_text",
        "micros",
    ),
    *("int32", "int64", "text", "truth", "many", "optional", "field_of", "only_fields"),
)


def _imports(body: str, helpers: Iterable[str]) -> str:
    lines = [
        "from __future__ import annotations\n",
        "from collections.abc import Mapping",
        "from dataclasses import dataclass",
    ]
    if "datetime" in body:
        lines.append("from datetime import datetime")
    if "Decimal" in body:
        lines.append("from decimal import Decimal")
    lines.append("from typing import Any, ClassVar, Self\n")
    lines.append("from schemas.event import Event" + (", Record" if "(Record)" in body else ""))
    lines.append(f"from schemas.primitives import (JSON, {', '.join(helpers)},)\n")
    return "\n".join(lines)


def _class(record: Schema, base: str, type_: str, constants: dict[str, str]) -> str:
    fields = [_field(field, type_) for field in record["fields"]]
    doc = record.get("doc", "")
    if constants:
        doc += f"\n\nKey: ``{constants['KEY']}``."
    out = [
        "@dataclass(frozen=True, slots=True, kw_only=True)",
        f"class {record['name']}({base}):",
        _docstring(doc),
        "",
    ]
    for name, value in {"TYPE": type_, **constants}.items():
        out.append(f'    {name}: ClassVar[str] = "{value}"')
    out.append("")
    for field in fields:
        out.append(f"    {field.name}: {field.type}" + (f" = {field.default}" if field.default else ""))
        out.append(_docstring(field.doc))
    names = ", ".join(f'"{field.name}"' for field in fields)

    def each(pattern: str, calls: Iterable[str]) -> str:
        return "".join(
            pattern.format(name=field.name, call=call) for field, call in zip(fields, calls, strict=True)
        )

    out += [
        "",
        "    def to_record(self) -> dict[str, Any]:",
        "        return {"
        + each('"{name}": {call},', (_call(f.to_avro, f"self.{f.name}") for f in fields))
        + "}",
        "",
        "    @classmethod",
        "    def from_record(cls, record: Mapping[str, Any]) -> Self:",
        "        return cls(" + each("{name}={call},", (_call(f.of_avro, _item(f)) for f in fields)) + ")",
        "",
        "    def to_json(self) -> dict[str, JSON]:",
        "        return {"
        + each('"{name}": {call},', (_call(f.to_json, f"self.{f.name}") for f in fields))
        + "}",
        "",
        "    @classmethod",
        "    def from_json(cls, data: Mapping[str, JSON]) -> Self:",
        f"        only_fields(data, frozenset({{{names}}}))",
        "        return cls(" + each("{name}={call},", (_from_json(f) for f in fields)) + ")",
        "",
    ]
    return "\n".join(out)


def _item(field: _Field) -> str:
    return f'record["{field.name}"]'


def _call(expression: str, value: str) -> str:
    return expression.replace("§", value)


def _from_json(field: _Field) -> str:
    convert = field.of_json.removesuffix("(§)") if field.of_json.count("§") == 1 else ""
    convert = convert if convert.isidentifier() else f"lambda x: {_call(field.of_json, 'x')}"
    found = f'field_of(data, "{field.name}", {convert})'
    return found if field.default is None else f'{found} if "{field.name}" in data else {field.default}'


def _field(field: dict[str, Any], where: str) -> _Field:
    name, type_ = field["name"], field["type"]
    python, to_avro, of_avro, to_json, of_json = _conversions(type_, f"{where}.{name}")
    default = _default(field["default"], f"{where}.{name}") if "default" in field else None
    return _Field(name, field.get("doc", ""), python, default, to_avro, of_avro, to_json, of_json)


def _conversions(type_: Any, where: str) -> tuple[str, str, str, str, str]:
    """Python type, then the four expressions over ``§``: to Avro, of Avro, to JSON, of JSON."""
    if isinstance(type_, str) and type_ in _PLAIN:
        python, check = _PLAIN[type_]
        # What fastavro reads is a str, a bool, an int; only the width of an int is left for us to check.
        of_avro = f"{check}(§)" if python == "int" else "§"
        return python, f"{check}(§)", of_avro, "§", f"{check}(§)"
    if isinstance(type_, list):
        rest = [branch for branch in type_ if branch != "null"]
        if len(type_) != 2 or len(rest) != 1:
            raise SchemaError(f"{where}: a union is null and one other type")
        python, *expressions = _conversions(rest[0], where)
        wrapped = ["§" if e == "§" else f"None if § is None else {e}" for e in expressions]
        return f"{python} | None", wrapped[0], wrapped[1], wrapped[2], wrapped[3]
    if isinstance(type_, dict):
        return _complex(type_, where)
    raise SchemaError(f"{where}: no Python form for the type {type_!r}")


def _complex(type_: dict[str, Any], where: str) -> tuple[str, str, str, str, str]:
    logical = type_.get("logicalType")
    if logical == "decimal" and type_["type"] == "bytes":
        size = f"{type_['precision']}, {type_.get('scale', 0)}"
        names = ("amount_bytes", "amount", "amount_text", "amount_of")
        to_avro, of_avro, to_json, of_json = (f"{name}(§, {size})" for name in names)
        return "Decimal", to_avro, of_avro, to_json, of_json
    if logical == "timestamp-micros":
        return "datetime", "micros(§)", "instant(§)", "instant_text(§)", "instant_of(§)"
    if type_["type"] == "array":
        python, to_avro, of_avro, to_json, of_json = _conversions(type_["items"], where)
        return (
            f"tuple[{python}, ...]",
            f"[{_call(to_avro, 'item')} for item in many(§)]",
            f"tuple([{_call(of_avro, 'item')} for item in §])" if of_avro != "§" else "tuple(§)",
            f"[{_call(to_json, 'item')} for item in §]" if to_json != "§" else "list(§)",
            f"tuple([{_call(of_json, 'item')} for item in many(§)])",
        )
    if type_["type"] == "record":
        name = type_["name"]
        return name, "§.to_record()", f"{name}.from_record(§)", "§.to_json()", f"{name}.from_json(§)"
    if logical is None and type_["type"] in _PLAIN:
        return _conversions(type_["type"], where)
    raise SchemaError(f"{where}: no Python form for the type {canonical(type_)}")


def _default(default: Any, where: str) -> str:
    if default is None or isinstance(default, (bool, int, str)):
        return repr(default)
    if default == []:
        return "()"
    raise SchemaError(f"{where}: no Python form for the default {default!r}")


def _nested(schema: Any) -> Iterable[Schema]:
    """Records inside of ``schema``, the innermost first."""
    if isinstance(schema, list):
        for branch in schema:
            yield from _nested_and_self(branch)
    elif isinstance(schema, dict):
        if schema.get("type") == "record":
            for field in schema["fields"]:
                yield from _nested_and_self(field["type"])
        else:
            yield from _nested_and_self(schema.get("items"))


def _nested_and_self(schema: Any) -> Iterable[Schema]:
    yield from _nested(schema)
    if isinstance(schema, dict) and schema.get("type") == "record":
        yield schema


def nested_names(event: EventSchema) -> list[str]:
    """Names of the classes that ``event`` needs beside its own."""
    return [full_name(record) for record in _nested(event.schema)]


def _docstring(doc: str) -> str:
    doc = doc.replace("\\", "\\\\").replace('"""', "'''")
    first, *more = doc.split("\n\n")
    if not more and len(first) <= WIDTH - 10:
        return f'    """{first}"""'
    paragraphs = [textwrap.fill(part, WIDTH - 4) for part in (first, *more)]
    return textwrap.indent('"""' + "\n\n".join(paragraphs) + '\n"""', "    ").replace("\n    \n", "\n\n")
