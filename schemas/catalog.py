"""The schemas in ``schemas/avro``: the one source of truth for every event.

Layout: ``<topic>/<Event>.avsc`` is current, ``<topic>/versions/<Event>.<n>.avsc`` is version ``n`` and never
changes again. A version once published is what records in Kafka are written with.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from schemas.errors import SchemaError, UnknownEventError

_PRIMITIVES: Final = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
_COMPLEX: Final = ("record", "enum", "fixed", "array", "map")

Schema: TypeAlias = dict[str, Any]
"""An Avro record schema as JSON."""

FOLDER: Final = Path(__file__).parent / "avro"
"""Where the schemas are."""


@dataclass(frozen=True, slots=True)
class SchemaVersion:
    """One version of a schema, as it is kept in the repository."""

    number: int
    schema: Schema


@dataclass(frozen=True, slots=True)
class EventSchema:
    """The schema of one event: what is current, and all versions kept of it, oldest first."""

    topic: str
    name: str
    schema: Schema
    versions: tuple[SchemaVersion, ...]

    @property
    def type(self) -> str:
        """Full name of the record, which is also its ``ce_type``."""
        return full_name(self.schema)

    @property
    def key(self) -> str:
        """Name of the field that is the record's key in Kafka."""
        return str(self.schema.get("key", ""))

    @property
    def subject(self) -> str:
        """Its subject in the registry (TopicRecordNameStrategy). Source: design §4, "Framing"."""
        return f"{self.topic}-{self.type}"

    @property
    def version(self) -> int:
        """Number of the newest version kept; 0 when none is."""
        return self.versions[-1].number if self.versions else 0


@dataclass(frozen=True, slots=True)
class Catalog:
    """All event schemas, sorted by topic and name."""

    events: tuple[EventSchema, ...]

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Catalog:
        """The schemas in ``folder``; SchemaError names a file that is no Avro record."""
        return cls(tuple(_events(folder)))

    def of(self, name: str) -> EventSchema:
        """The event with the full or the short name ``name``; UnknownEventError names what is close."""
        for event in self.events:
            if name in {event.type, event.name}:
                return event
        raise UnknownEventError(f"no event {name!r} in the catalog: `tidegate schemas list` shows them all")


def full_name(schema: Mapping[str, Any]) -> str:
    """The full name of a named schema at the top of a file."""
    name, namespace = str(schema.get("name", "")), schema.get("namespace")
    return name if "." in name or not namespace else f"{namespace}.{name}"


def qualified(schema: Any, namespace: str = "") -> Any:
    """``schema`` with the full name of every named type where it is defined, referred to, or an alias."""
    if isinstance(schema, list):
        return [qualified(branch, namespace) for branch in schema]
    if not isinstance(schema, dict):
        known = schema in _PRIMITIVES or not isinstance(schema, str) or "." in schema or not namespace
        return schema if known else f"{namespace}.{schema}"
    result = {name: value for name, value in schema.items() if name != "namespace"}
    if "name" in schema:
        result["name"] = full_name({"namespace": namespace, **schema})
        namespace = result["name"].rpartition(".")[0]
        result["aliases"] = [
            full_name({"name": a, "namespace": namespace}) for a in schema.get("aliases", ())
        ]
    if "fields" in schema:
        result["fields"] = [
            {**field, "type": qualified(field["type"], namespace)} for field in schema["fields"]
        ]
    for part in ("items", "values"):
        if part in schema:
            result[part] = qualified(schema[part], namespace)
    if schema["type"] not in _COMPLEX:
        result["type"] = qualified(schema["type"], namespace)
    return result


def canonical(schema: Any) -> str:
    """``schema`` as one line of JSON, the same for the same schema however its file is laid out."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False, sort_keys=True)


def fingerprint(schema: Any) -> str:
    """SHA-256 of the canonical text of ``schema``, 64 hexadecimal digits."""
    return hashlib.sha256(canonical(schema).encode()).hexdigest()


def _events(folder: Path) -> list[EventSchema]:
    found = []
    for topic in sorted(path for path in folder.iterdir() if path.is_dir()):
        current = {path.stem: path for path in topic.glob("*.avsc")}
        kept: dict[str, list[SchemaVersion]] = {}
        for path in (topic / "versions").glob("*.avsc"):
            name, _, number = path.stem.rpartition(".")
            if not name or not number.isdigit():
                raise SchemaError(f"{path}: a kept version is called <Event>.<n>.avsc")
            kept.setdefault(name, []).append(SchemaVersion(int(number), _read(path)))
        gone = sorted(kept.keys() - current.keys())
        if gone:
            raise SchemaError(
                f"{topic.name}: {gone[0]} has kept versions but no {gone[0]}.avsc; an event that was "
                "published once stays in the catalog, so that its records can be read: put the file back"
            )
        for name in sorted(current):
            versions = tuple(sorted(kept.get(name, ()), key=lambda version: version.number))
            found.append(EventSchema(topic.name, name, _read(current[name]), versions))
    return found


def _read(path: Path) -> Schema:
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SchemaError(f"{path}: not readable as JSON: {error}") from error
    if not isinstance(schema, dict) or schema.get("type") != "record":
        raise SchemaError(f"{path}: an event is an Avro record")
    return schema
