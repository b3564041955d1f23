"""Claims about which change of a schema breaks which reader: a table of known cases, and what is said."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from schemas.catalog import Catalog, EventSchema, SchemaVersion
from schemas.compatibility import cannot_read, full_transitive

MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": 2}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
LINE = {
    "type": "record",
    "name": "Line",
    "doc": "d",
    "fields": [{"name": "sku", "type": "string", "doc": "d"}],
}
CODE = {"type": "enum", "name": "Code", "symbols": ["A", "B"]}
GROWING = {**CODE, "default": "A"}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    """One field, documented."""
    return {"name": name, "type": type_, "doc": "d", **more}


def schema(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One event with a key and ``fields``."""
    return {
        "type": "record",
        "name": "Thing",
        "namespace": "tidegate.things",
        "doc": "d",
        "key": "id",
        "fields": [field("id", "string"), *fields],
        **more,
    }


def event(new: dict[str, Any], *old: dict[str, Any]) -> EventSchema:
    """The event whose kept versions are ``old`` and whose current schema is ``new``."""
    versions = tuple(SchemaVersion(number, copy.deepcopy(one)) for number, one in enumerate(old, start=1))
    return EventSchema("things", "Thing", copy.deepcopy(new), versions)


CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # what changed: (old schema, new schema, the rule that is broken; "" when the change is fine)
    "nothing": (schema(field("a", "int")), schema(field("a", "int")), ""),
    "documentation": (schema(), schema(doc="better"), ""),
    "order of fields": (
        schema(field("a", "int"), field("b", "int")),
        schema(field("b", "int"), field("a", "int")),
        "",
    ),
    "optional field added": (schema(), schema(field("a", ["null", "int"], default=None)), ""),
    "optional field removed": (schema(field("a", ["null", "int"], default=None)), schema(), ""),
    "field with a default added": (schema(), schema(field("a", "int", default=0)), ""),
    "default changed": (schema(field("a", "int", default=0)), schema(field("a", "int", default=1)), ""),
    "required field added": (schema(), schema(field("a", "int")), "no-default"),
    "required field removed": (schema(field("a", "int")), schema(), "no-default"),
    "default taken away": (schema(field("a", "int", default=0)), schema(field("a", "int")), ""),
    "field renamed": (schema(field("a", "int")), schema(field("b", "int")), "no-default"),
    "field renamed with an alias": (
        schema(field("a", "int")),
        schema(field("b", "int", aliases=["a"])),
        "no-default",
    ),
    "optional field renamed with an alias": (
        schema(field("a", "int", default=0)),
        schema(field("b", "int", default=0, aliases=["a"])),
        "",
    ),
    "int widened to long": (schema(field("a", "int")), schema(field("a", "long")), "type-changed"),
    "long narrowed to int": (schema(field("a", "long")), schema(field("a", "int")), "type-changed"),
    "string to int": (schema(field("a", "string")), schema(field("a", "int")), "type-changed"),
    "string to bytes": (schema(field("a", "string")), schema(field("a", "bytes")), "type-changed"),
    "required made optional": (
        schema(field("a", "int")),
        schema(field("a", ["null", "int"], default=None)),
        "union-branch",
    ),
    "optional made required": (
        schema(field("a", ["null", "int"], default=None)),
        schema(field("a", "int", default=0)),
        "union-branch",
    ),
    "union branch added": (
        schema(field("a", ["null", "int"], default=None)),
        schema(field("a", ["null", "int", "string"], default=None)),
        "union-branch",
    ),
    "union branches reordered": (
        schema(field("a", ["null", "int"], default=None)),
        schema(field("a", ["int", "null"], default=0)),
        "",
    ),
    "decimal scale": (
        schema(field("a", MONEY)),
        schema(field("a", {**MONEY, "scale": 4})),
        "decimal-scale",
    ),
    "decimal precision": (
        schema(field("a", MONEY)),
        schema(field("a", {**MONEY, "precision": 20})),
        "decimal-precision",
    ),
    "decimal to plain bytes": (schema(field("a", MONEY)), schema(field("a", "bytes")), "logical-type"),
    "micros to millis": (
        schema(field("a", MICROS)),
        schema(field("a", {**MICROS, "logicalType": "timestamp-millis"})),
        "logical-type",
    ),
    "long to a time": (schema(field("a", "long")), schema(field("a", MICROS)), "logical-type"),
    "decimal scale inside of an optional field": (
        schema(field("a", ["null", MONEY], default=None)),
        schema(field("a", ["null", {**MONEY, "scale": 3}], default=None)),
        "decimal-scale",
    ),
    "namespace": (schema(), schema(namespace="tidegate.other"), "namespace-changed"),
    "record renamed with an alias": (
        schema(),
        schema(name="Other", aliases=["Thing"]),
        "name-changed",
    ),
    "nested record renamed": (
        schema(field("a", LINE)),
        schema(field("a", {**LINE, "name": "Row"})),
        "name-changed",
    ),
    "required field added to a nested record": (
        schema(field("a", {"type": "array", "items": LINE})),
        schema(
            field("a", {"type": "array", "items": {**LINE, "fields": [*LINE["fields"], field("n", "int")]}})
        ),
        "no-default",
    ),
    "items of an array": (
        schema(field("a", {"type": "array", "items": "string"})),
        schema(field("a", {"type": "array", "items": "int"})),
        "type-changed",
    ),
    "values of a map": (
        schema(field("a", {"type": "map", "values": "string"})),
        schema(field("a", {"type": "map", "values": "int"})),
        "type-changed",
    ),
    "enum symbol added": (
        schema(field("a", CODE)),
        schema(field("a", {**CODE, "symbols": ["A", "B", "C"]})),
        "enum-symbol",
    ),
    "enum symbol added where both have a default": (
        schema(field("a", GROWING)),
        schema(field("a", {**GROWING, "symbols": ["A", "B", "C"]})),
        "",
    ),
    "enum symbol removed": (
        schema(field("a", CODE)),
        schema(field("a", {**CODE, "symbols": ["A"]})),
        "enum-symbol",
    ),
    "fixed size": (
        schema(field("a", {"type": "fixed", "name": "F", "size": 4})),
        schema(field("a", {"type": "fixed", "name": "F", "size": 8})),
        "size-changed",
    ),
    "a type written out where it was named": (
        schema(field("a", LINE), field("b", "Line")),
        schema(field("a", LINE), field("b", "tidegate.things.Line")),
        "",
    ),
    "key": (schema(field("a", "string")), schema(field("a", "string"), key="a"), "key-changed"),
}


@pytest.mark.parametrize("case", CASES)
def test_known_changes_are_judged_as_they_should_be(case: str) -> None:
    """Each known change of a schema passes, or is refused by the rule that it breaks and by no other."""
    old, new, rule = CASES[case]
    assert {problem.rule for problem in full_transitive(event(new, old))} == ({rule} if rule else set())


def test_there_are_enough_known_cases() -> None:
    """The table covers at least twenty changes, good and bad ones."""
    assert len(CASES) >= 20
    assert sum(not rule for _, _, rule in CASES.values()) >= 8


def test_every_version_counts_not_only_the_last() -> None:
    """A field that came, went, and comes back as another type breaks readers of the first version."""
    first, second = schema(field("a", "int", default=0)), schema()
    third = schema(field("a", "string", default=""))
    assert full_transitive(event(third, second)) == []
    assert [problem.rule for problem in full_transitive(event(third, first, second))] == ["type-changed"]


def test_a_problem_says_event_field_rule_versions_and_cure() -> None:
    """One line is enough to know what to do."""
    old, new, _ = CASES["required field added"]
    (problem,) = full_transitive(event(new, old))
    line = str(problem)
    assert line.startswith("tidegate.things.Thing.a: a reader expects the field, has no default for it")
    assert "the new schema cannot read version 1" in line
    assert "[no-default]" in line
    assert "needs a default" in line
    assert "\n" not in line


def test_nested_fields_are_named_by_their_path() -> None:
    """A field of a line is named as lines[].sku, so that it is found."""
    changed = {**LINE, "fields": [field("sku", "int")]}
    old, new = (schema(field("lines", {"type": "array", "items": line})) for line in (LINE, changed))
    assert {problem.field for problem in full_transitive(event(new, old))} == {"lines[].sku"}


def test_one_direction_can_be_asked_alone() -> None:
    """A wider number can be read from a narrower one: only the other direction breaks."""
    old, new, _ = CASES["int widened to long"]
    assert cannot_read(new, old) == []
    assert cannot_read(old, new) != []


def test_a_type_that_contains_itself_is_compared_once() -> None:
    """A recursive schema is compared to an end."""
    tree = {"type": "record", "name": "Tree", "fields": [field("left", ["null", "Tree"], default=None)]}
    assert full_transitive(event(schema(field("a", tree)), schema(field("a", tree)))) == []


def test_the_catalog_is_compatible_with_every_version_kept() -> None:
    """What is in the repository can be published."""
    assert [str(problem) for one in Catalog.load().events for problem in full_transitive(one)] == []


def test_a_broken_change_of_a_real_event_is_found() -> None:
    """Taking a field of PickCompleted away without a default is refused."""
    real = Catalog.load().of("PickCompleted")
    fewer = {**real.schema, "fields": [one for one in real.schema["fields"] if one["name"] != "picked_at"]}
    (problem,) = full_transitive(replace(real, schema=fewer))
    assert (problem.field, problem.rule) == ("picked_at", "no-default")
