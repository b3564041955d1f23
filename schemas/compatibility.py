"""Which change of a schema breaks which reader, offline.

FULL_TRANSITIVE: every version ever published can be read with every other, so that producers and consumers
are upgraded in any order and old records stay readable. The rules are Avro's ("Schema Resolution"), and
stricter where Avro lets a value change its meaning without a word: a decimal's scale, a time's unit, text
for bytes. Registries check less: Apache's own checker misses the first two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from schemas.catalog import EventSchema, Schema, qualified

_PROMOTIONS: Final[Mapping[str, frozenset[str]]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
}
"""What a number may be read as. Text and bytes may be by Avro's rules; here not: bytes need not be text."""

_MEANING: Final = ("logicalType", "precision", "scale")


@dataclass(frozen=True, slots=True)
class Incompatibility:
    """One reason why records of one schema cannot be read with another."""

    event: str
    """Full name of the event."""
    field: str
    """Path of the field; empty for the record itself."""
    rule: str
    """Short name of the rule that is broken."""
    what: str
    """What is wrong, as a sentence."""
    cure: str
    """What to do about it."""
    versions: str = ""
    """Which versions do not fit: ``2 cannot read 1``."""

    def __str__(self) -> str:
        place = f"{self.event}.{self.field}" if self.field else self.event
        versions = f" ({self.versions})" if self.versions else ""
        return f"{place}: {self.what}{versions} [{self.rule}]. {self.cure}."


def full_transitive(event: EventSchema) -> list[Incompatibility]:
    """Why ``event`` is not compatible with the versions kept of it, both ways; empty when it is."""
    found: dict[tuple[str, str], Incompatibility] = {}
    for old in event.versions:
        for reader, writer, versions in (
            (event.schema, old.schema, f"the new schema cannot read version {old.number}"),
            (old.schema, event.schema, f"readers with version {old.number} cannot read the new schema"),
        ):
            for one in cannot_read(reader, writer):
                key = (one.field, one.rule)
                at = found.get(key, one)
                both = f"{at.versions}; {versions}" if at.versions else versions
                found[key] = Incompatibility(event.type, at.field, at.rule, at.what, at.cure, both)
        if old.schema.get("key") != event.schema.get("key"):
            found["", "key-changed"] = Incompatibility(
                event.type,
                "",
                "key-changed",
                f"the key is {event.schema.get('key')!r}, and was {old.schema.get('key')!r}",
                "Events of one key are in order; another key needs another topic, or another event",
                f"version {old.number}",
            )
    return list(found.values())


def cannot_read(reader: Schema, writer: Schema) -> list[Incompatibility]:
    """Why records written with ``writer`` cannot be read with ``reader``; empty when they can."""
    reader, writer = qualified(reader), qualified(writer)
    names = {**_names(reader, "reader"), **_names(writer, "writer")}
    return list(_Comparison(reader["name"], names).compare(reader, writer, ""))


class _Comparison:
    """One reader against one writer."""

    __slots__ = ("_event", "_names", "_seen")

    def __init__(self, event: str, names: Mapping[tuple[str, str], Any]) -> None:
        self._event = event
        self._names = names
        self._seen: set[tuple[str, str]] = set()

    def compare(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        reader, writer = self._resolved(reader, "reader"), self._resolved(writer, "writer")
        if isinstance(writer, list):
            for branch in writer:
                yield from self._branch(reader, branch, path)
        elif isinstance(reader, list):
            problems = [list(self.compare(branch, writer, path)) for branch in reader]
            if all(problems):
                # Of one branch that is meant, what is wrong with it says more than that none fits.
                kinds = [_kind(self._resolved(branch, "reader")) == _kind(writer) for branch in reader]
                meant = problems[kinds.index(True)] if kinds.count(True) == 1 else ()
                yield from meant or self._unreadable_branch(reader, writer, path)
        else:
            yield from self._single(reader, writer, path)

    def _branch(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        """Each branch that the writer may choose must be readable."""
        if isinstance(reader, list):
            yield from self.compare(reader, writer, path)
        elif list(self.compare(reader, writer, path)):
            yield from self._unreadable_branch([reader], writer, path)

    def _single(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        was, now = _kind(writer), _kind(reader)
        if was != now and now not in _PROMOTIONS.get(was, frozenset()):
            yield self._one(
                path,
                "type-changed",
                f"{_shown(writer)} cannot be read as {_shown(reader)}",
                "Keep the type; add a field with another name for the new one",
            )
            return
        if was in {"record", "enum", "fixed"}:
            yield from self._name(reader, writer, path)
        for setting in _MEANING:
            problems = list(self._meaning(setting, reader, writer, path))
            yield from problems
            if problems:
                break
        if was == "record":
            pair = (reader["name"], writer["name"])
            if pair not in self._seen:
                self._seen.add(pair)
                yield from self._fields(reader, writer, path)
        elif was == "array":
            yield from self.compare(reader["items"], writer["items"], f"{path}[]")
        elif was == "map":
            yield from self.compare(reader["values"], writer["values"], f"{path}{{}}")
        elif was == "enum":
            yield from self._symbols(reader, writer, path)
        elif was == "fixed" and reader["size"] != writer["size"]:
            what = f"{writer['size']} bytes cannot be read as {reader['size']}"
            yield self._one(path, "size-changed", what, "Keep the size, or add another field")

    def _name(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        wanted, found = reader["name"], writer["name"]
        if wanted != found and found not in reader.get("aliases", ()):
            rule = (
                "namespace-changed"
                if wanted.rpartition(".")[2] == found.rpartition(".")[2]
                else "name-changed"
            )
            yield self._one(
                path,
                rule,
                f"{found} cannot be read as {wanted}",
                "Keep name and namespace: readers find the record by them; for a new name make a new event",
            )

    def _meaning(self, setting: str, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        wanted, found = _setting(reader, setting), _setting(writer, setting)
        if wanted != found:
            rule = f"decimal-{setting}" if setting != "logicalType" else "logical-type"
            yield self._one(
                path,
                rule,
                f"{setting} {found} would be read as {wanted}: the same bytes would mean another value",
                "Keep it; add a field with another name for the new one",
            )

    def _fields(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            inner = f"{path}.{field['name']}" if path else field["name"]
            names = (field["name"], *field.get("aliases", ()))
            source = next((written[name] for name in names if name in written), None)
            if source is not None:
                yield from self.compare(field["type"], source["type"], inner)
            elif "default" not in field:
                yield self._one(
                    inner,
                    "no-default",
                    "a reader expects the field, has no default for it, and the writer does not send it",
                    'A field that comes or goes needs a default: {"type": ["null", …], "default": null}',
                )

    def _symbols(self, reader: Any, writer: Any, path: str) -> Iterator[Incompatibility]:
        missing = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if missing and reader.get("default") not in reader["symbols"]:
            yield self._one(
                path,
                "enum-symbol",
                f"a reader does not know {', '.join(missing)} and has no default symbol",
                "Use a string for codes that grow, or give the enum a default from its first version on",
            )

    def _unreadable_branch(self, reader: Sequence[Any], writer: Any, path: str) -> Iterator[Incompatibility]:
        known = ", ".join(_shown(branch) for branch in reader)
        yield self._one(
            path,
            "union-branch",
            f"a value of type {_shown(writer)} cannot be read as {known}",
            "Keep the branches of a union as they are; add another field",
        )

    def _one(self, path: str, rule: str, what: str, cure: str) -> Incompatibility:
        return Incompatibility(self._event, path, rule, what, cure)

    def _resolved(self, schema: Any, side: str) -> Any:
        if isinstance(schema, str):
            return self._names.get((side, schema), schema)
        if isinstance(schema, dict) and isinstance(schema.get("type"), (dict, list)):
            return self._resolved(schema["type"], side)
        return schema


def _kind(schema: Any) -> str:
    return str(schema["type"] if isinstance(schema, Mapping) else schema)


def _setting(schema: Any, name: str) -> Any:
    if not isinstance(schema, Mapping):
        return None
    return schema.get(name, 0 if name == "scale" and schema.get("logicalType") == "decimal" else None)


def _shown(schema: Any) -> str:
    if isinstance(schema, Mapping):
        name = schema.get("name", schema["type"])
        return str(schema.get("logicalType", name))
    return str(schema)


def _names(schema: Any, side: str) -> dict[tuple[str, str], Any]:
    """Every named type inside of ``schema``, which must be qualified."""
    found: dict[tuple[str, str], Any] = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= _names(branch, side)
    elif isinstance(schema, dict):
        if "name" in schema:
            found[side, schema["name"]] = schema
        for field in schema.get("fields", ()):
            found |= _names(field["type"], side)
        for part in ("items", "values", "type"):
            found |= _names(schema.get(part), side)
    return found
