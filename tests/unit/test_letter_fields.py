"""Fields of an event as people write them on a command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from consumers.replay.errors import InvalidEditError
from consumers.replay.fields import Assignment, assign, flattened
from consumers.replay.mending import Draft
from schemas.codec import Codec
from schemas.events import OrderSubmitted
from schemas.ids import SchemaIds
from tidegate.commands.dlq_edit import written_in_editor

CODEC = Codec(SchemaIds.local())
ORDER: dict[str, Any] = {
    "order_id": "7",
    "request_id": "r",
    "lines": [{"sku": "A", "quantity": 1, "unit_price": "1.00", "discount": "0.0000"}],
}


def assigned(*written: str) -> dict[str, Any]:
    """The order with these assignments."""
    return assign(ORDER, [Assignment.parse(each) for each in written], OrderSubmitted, CODEC)


def test_the_schema_tells_text_from_numbers() -> None:
    """Digits are text where the field is text or an amount, and a number where it is one."""
    told = assigned("order_id=8", "lines[0].quantity=3", "lines[0].unit_price=2.50", "currency=EUR")
    assert told["order_id"] == "8"
    assert told["lines"] == [{"sku": "A", "quantity": 3, "unit_price": "2.50", "discount": "0.0000"}]
    assert told["currency"] == "EUR"
    assert ORDER["lines"][0]["quantity"] == 1


def test_a_list_grows_at_its_end_and_a_field_may_be_whole() -> None:
    """One past the end adds an item; a list can be given as JSON."""
    assert assigned("lines[1].sku=B")["lines"][1] == {"sku": "B"}
    assert assigned('lines=[{"sku": "C"}]')["lines"] == [{"sku": "C"}]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("currency", "is no assignment: write FIELD=VALUE"),
        ("=EUR", "is no assignment"),
        ("price=1", r"there is no field price; there are order_id, request_id"),
        ("lines[0].price=1", r"lines\[0\]\.price: there is no field price; there are sku, quantity"),
        ("lines[0].quantity=many", r"lines\[0\]\.quantity: 'many' is no int"),
        ("lines[7].sku=A", "the list has 1 items"),
        ("order_id[0]=1", "that is no list"),
        ("order_id.x=1", "has no fields"),
        ("lines[x]=1", "is no field: write it as errors do"),
    ],
)
def test_what_the_schema_does_not_have_is_named(written: str, says: str) -> None:
    """One sentence that says where, and what there is."""
    with pytest.raises(InvalidEditError, match=says):
        assigned(written)


def test_leaves_by_their_paths() -> None:
    """Nested fields are told apart one by one; an empty list is a leaf."""
    assert flattened({"a": 1, "b": [{"c": None}, []], "d": {}}) == {
        "a": 1,
        "b[0].c": None,
        "b[1]": [],
        "d": {},
    }


def test_an_editor_begins_with_what_could_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The draft is what the person sees, what is saved is what they wrote; what is no JSON is said in one sentence."""
    draft = Draft(OrderSubmitted, {"order_id": "7"}, whole=False, fault="cut")
    script = tmp_path / "editor.py"
    script.write_text(
        "import os, sys; path = sys.argv[1]; text = open(path).read().replace('7', '8'); "
        "open(path, 'w').write(text); os.utime(path, (1, 1))"
    )
    monkeypatch.setenv("VISUAL", f"{sys.executable} {script}")
    assert written_in_editor(draft) == {"order_id": "8"}
    script.write_text("import os, sys; open(sys.argv[1], 'w').write('[1]'); os.utime(sys.argv[1], (1, 1))")
    with pytest.raises(InvalidEditError, match="no JSON object"):
        written_in_editor(draft)
