"""Claims about what is asked of a schema beyond Avro, about kept versions, and about generated files."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from infra.topics import load
from schemas import generate
from schemas.catalog import FOLDER, Catalog, EventSchema, SchemaVersion, fingerprint
from schemas.errors import IncompatibleSchemaError, SchemaError, UnknownEventError
from schemas.event_page import events_page
from schemas.python_source import module_source
from schemas.rules import broken_rules, unkept


def changed(name: str, change: Any) -> EventSchema:
    """The event ``name`` of the catalog after ``change(schema)``."""
    event = Catalog.load().of(name)
    schema = copy.deepcopy(event.schema)
    change(schema)
    return replace(event, schema=schema)


def test_every_schema_of_the_catalog_keeps_the_rules() -> None:
    """What is in the repository is sound and kept, and every file holds the event that it is named after."""
    events = Catalog.load().events
    assert [line for event in events for line in broken_rules(event)] == []
    assert [line for event in events if (line := unkept(event))] == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("doc"), 'the record has no "doc"'),
        (lambda s: s["fields"][0].pop("doc"), r'order_id: the field has no "doc"'),
        (lambda s: s["fields"][5]["type"]["items"].pop("doc"), r'lines\[\]: the record has no "doc"'),
        (
            lambda s: s["fields"][5]["type"]["items"]["fields"][0].pop("doc"),
            r'lines\[\]\.sku: the field has no "doc"',
        ),
        (lambda s: s.update(name="Other"), "the record Other; give them one name"),
        (lambda s: s.update(namespace="tidegate.oms"), r"it must be tidegate\.oms\.orders"),
        (lambda s: s.pop("key"), '"key" must name a string field'),
        (lambda s: s.update(key="ordered_at"), '"key" must name a string field'),
        (lambda s: s["fields"][3].update(name="currencyCode"), "in_small_letters"),
        (lambda s: s["fields"][3].update(name="valuta"), "it holds money but no field currency"),
        (lambda s: s["fields"][4].update(type="long"), "ordered_at: a field that ends in _at is a time"),
        (
            lambda s: s["fields"][4].update(type={"type": "long", "logicalType": "timestamp-millis"}),
            "time is timestamp-micros",
        ),
        (lambda s: s["fields"][3].update(type="double"), "floating point is not exact"),
        (
            lambda s: s["fields"][5]["type"]["items"]["fields"][2]["type"].update(scale=4),
            r"lines\[\]\.unit_price: money is bytes with decimal\(18, 2\)",
        ),
        (
            lambda s: s["fields"][3].update(type=["string", "null", "int"]),
            "a union is null and one other type",
        ),
        (
            lambda s: s["fields"][3].update(type={"type": "enum", "name": "E", "symbols": ["A"]}),
            "codes are strings",
        ),
        (lambda s: s["fields"][3].update(type=["null", "string"], default="x"), 'the default "x" is no null'),
        (lambda s: s["fields"][3].update(type=["null", "string"], default=0), "Default value"),
        (lambda s: s["fields"][3].update(type={"type": "array", "items": "null"}), "take no bytes"),
        (lambda s: s["fields"][3].update(type="strnig"), "no Avro schema"),
    ],
)
def test_each_broken_rule_is_named(change: Any, says: str) -> None:
    """A schema that breaks a rule is refused in one line that names the event, the field and the cure."""
    lines = broken_rules(changed("OrderSubmitted", change))
    assert re.search(says, " | ".join(lines))
    assert all("OrderSubmitted" in line and "\n" not in line for line in lines)


def test_changed_schema_that_is_not_kept_is_refused() -> None:
    """A change, even of a sentence of documentation, is a version of its own."""
    line = unkept(changed("PickCompleted", lambda schema: schema.update(doc="Better words.")))
    assert line is not None
    assert "changed since version 1 and not kept: run `python -m schemas.generate --keep`" in line


def test_new_schema_that_is_not_kept_is_refused() -> None:
    """The first version is kept too: later ones are compared with it."""
    line = unkept(replace(Catalog.load().of("PickCompleted"), versions=()))
    assert line is not None
    assert "is new and not kept" in line


def test_missing_version_in_between_is_refused() -> None:
    """Kept versions have no holes: one taken away would no longer be compared with."""
    event = Catalog.load().of("PickCompleted")
    line = unkept(replace(event, versions=(SchemaVersion(2, event.schema),)))
    assert line is not None
    assert "put the missing ones back" in line


def copied(tmp_path: Path) -> Path:
    """A catalog in a folder of its own, with one event and its kept version."""
    for name in ("PickCompleted.avsc", "versions/PickCompleted.1.avsc"):
        target = tmp_path / "wms.warehouse" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((FOLDER / "wms.warehouse" / name).read_bytes())
    return tmp_path


def edited(folder: Path, change: Any) -> None:
    """Change the current schema in ``folder``."""
    path = folder / "wms.warehouse" / "PickCompleted.avsc"
    schema = json.loads(path.read_text())
    change(schema)
    path.write_text(json.dumps(schema))


def test_compatible_change_is_kept_as_the_next_version(tmp_path: Path) -> None:
    """--keep adds the version, and what was refused is sound afterwards."""
    folder = copied(tmp_path)
    note = {"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."}
    edited(folder, lambda schema: schema["fields"].append(note))
    (path,) = generate.keep(Catalog.load(folder), folder)
    assert path.name == "PickCompleted.2.avsc"
    assert [unkept(event) for event in Catalog.load(folder).events] == [None]
    assert generate.keep(Catalog.load(folder), folder) == []


def test_incompatible_change_is_not_kept(tmp_path: Path) -> None:
    """--keep refuses what would break a reader, and writes nothing."""
    folder = copied(tmp_path)
    edited(folder, lambda schema: schema["fields"].pop())
    with pytest.raises(IncompatibleSchemaError, match=r"picked_at.*no-default"):
        generate.keep(Catalog.load(folder), folder)
    assert [path.name for path in (folder / "wms.warehouse" / "versions").iterdir()] == [
        "PickCompleted.1.avsc"
    ]


def test_event_that_was_published_cannot_be_taken_away(tmp_path: Path) -> None:
    """Kept versions without a current schema: its records would be unreadable."""
    folder = copied(tmp_path)
    (folder / "wms.warehouse" / "PickCompleted.avsc").unlink()
    with pytest.raises(SchemaError, match=r"has kept versions but no PickCompleted\.avsc"):
        Catalog.load(folder)


@pytest.mark.parametrize("text", ["{", "[]", '"string"', '{"type": "enum"}'])
def test_file_that_is_no_record_is_named(tmp_path: Path, text: str) -> None:
    """A broken .avsc is named by its path."""
    folder = copied(tmp_path)
    (folder / "wms.warehouse" / "Broken.avsc").write_text(text)
    with pytest.raises(SchemaError, match=r"Broken\.avsc"):
        Catalog.load(folder)


def test_generated_files_are_current() -> None:
    """The typed events and docs/events.md say what the schemas say."""
    assert generate.stale_files(Catalog.load()) == {}
    assert generate.main(["--check"]) == 0


def test_changed_schema_makes_the_generated_file_stale() -> None:
    """A field added to a schema and not generated is noticed, and so is its page."""
    extra = {"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."}
    event = changed("PickCompleted", lambda schema: schema["fields"].append(extra))
    others = [one for one in Catalog.load().events if one.name != "PickCompleted"]
    catalog = Catalog(tuple(sorted([*others, event], key=lambda one: (one.topic, one.name))))
    assert {path.name for path in generate.stale_files(catalog)} == {"wms_warehouse.py", "events.md"}


def test_type_without_a_python_form_is_named() -> None:
    """What the generator cannot write is refused with its path, not written wrong."""
    event = changed(
        "PickCompleted", lambda schema: schema["fields"][2].update(type={"type": "map", "values": "int"})
    )
    with pytest.raises(SchemaError, match=r"PickCompleted\.picked_at: no Python form"):
        module_source("wms.warehouse", [event])


def test_page_shows_every_event_and_field() -> None:
    """docs/events.md leaves nothing out."""
    page = events_page(load(), Catalog.load())
    for event in Catalog.load().events:
        assert f"### {event.name}" in page
        assert all(f"`{field['name']}`" in page for field in event.schema["fields"])


def test_layout_of_a_file_does_not_change_its_fingerprint() -> None:
    """Spaces and the order of attributes are not part of a schema."""
    schema = Catalog.load().of("PickCompleted").schema
    assert fingerprint(schema) == fingerprint(dict(reversed(schema.items())))


def test_events_are_found_by_short_and_by_full_name() -> None:
    """Both names work; an unknown one says where to look."""
    catalog = Catalog.load()
    assert catalog.of("PickCompleted") is catalog.of("tidegate.wms.warehouse.PickCompleted")
    with pytest.raises(UnknownEventError, match="tidegate schemas list"):
        catalog.of("Nope")
