"""docs/events.md: every topic, event and field, for those who read the topics."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from infra.topics import Topic
from schemas.catalog import Catalog, EventSchema

_HEAD = """\
<!-- Generated from schemas/avro and infra/topics.yaml by `python -m schemas.generate`. Do not edit. -->

# Topics, events and fields

A record's value is byte 0, the schema id in four bytes (big-endian), and Avro binary; the registry's own Avro
deserialiser reads it. The subject of an event is `<topic>-<type>` (TopicRecordNameStrategy). The record's key
is the field named below, in UTF-8, and its partition murmur2 of the key: clients on librdkafka must set
`partitioner=murmur2_random`. Headers are CloudEvents in binary mode (`ce_id`, `ce_type`, `ce_sequence` …).

Every event keeps to FULL_TRANSITIVE compatibility: a reader with any version reads records of any other.
The same `ce_id` is the same event: a reader that must count it once remembers the id.
"""


def events_page(topics: Sequence[Topic], catalog: Catalog) -> str:
    """The page as Markdown."""
    events: dict[str, list[EventSchema]] = {}
    for event in catalog.events:
        events.setdefault(event.topic, []).append(event)
    lines = [_HEAD, "| topic | key | partitions | kept for | events |", "|---|---|---|---|---|"]
    for topic in topics:
        named = ", ".join(f"[{event.name}](#{event.name.lower()})" for event in events.get(topic.name, ()))
        kept = (
            "ever, the newest of each key"
            if topic.cleanup == "compact"
            else f"{topic.retention_ms // 86_400_000} days"
        )
        lines.append(
            f"| `{topic.name}` | {topic.key} | {topic.partitions} | {kept} | {named or topic.holds} |"
        )
    for topic in topics:
        if topic.name in events:
            lines += ["", f"## {topic.name}", "", topic.holds]
            for event in events[topic.name]:
                lines += _event(event)
    return "\n".join(lines) + "\n"


def _event(event: EventSchema) -> Iterator[str]:
    yield from ("", f"### {event.name}", "", str(event.schema.get("doc", "")), "")
    yield f"Type `{event.type}`, version {event.version}, key `{event.key}`."
    yield from ("", "| field | type | meaning |", "|---|---|---|")
    yield from _fields(event.schema, "")


def _fields(schema: dict[str, Any], path: str) -> Iterator[str]:
    for field in schema["fields"]:
        name = f"{path}{field['name']}"
        yield f"| `{name}` | {_type(field['type'])} | {field.get('doc', '')} |"
        inner = field["type"]
        if isinstance(inner, dict) and inner["type"] == "array" and isinstance(inner["items"], dict):
            yield from _fields(inner["items"], f"{name}[].")


def _type(type_: Any) -> str:
    if isinstance(type_, list):
        return " or ".join(_type(branch) for branch in type_)
    if not isinstance(type_, dict):
        return str(type_)
    if type_.get("logicalType") == "decimal":
        return f"decimal({type_['precision']},{type_.get('scale', 0)})"
    if type_["type"] == "array":
        return f"list of {_type(type_['items'])}"
    return str(type_.get("logicalType", type_.get("name", type_["type"])))
