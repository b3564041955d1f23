"""What a person is told of a value that is no event."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from schemas.codec import Codec
from schemas.events import OrderLine, OrderSubmitted
from schemas.ids import SchemaIds
from tests import hostile, hostile_avro

CODEC = Codec(SchemaIds.local())
LINE = OrderLine(sku="A", quantity=2, unit_price=Decimal("19.99"), discount=Decimal("0.1500"))
ORDER = OrderSubmitted(
    order_id="o-1",
    request_id="r-1",
    customer_id="c-1",
    currency="EUR",
    ordered_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    lines=(LINE, replace(LINE, sku="B")),
)
VALUE = CODEC.encode(ORDER)


def test_a_sound_value_is_read_whole() -> None:
    """The fields are those of the event, to the last digit, and there is no fault."""
    seen = CODEC.glimpse(VALUE)
    assert seen is not None
    assert (seen.fields, seen.fault) == (ORDER.to_json(), "")


@pytest.mark.parametrize(
    ("spoilt", "fields", "fault"),
    [
        (VALUE[:9], 1, r"field request_id, at byte 9: the bytes end too early"),
        (VALUE + b"\x00", 6, r"1 bytes are left over behind the last field"),
        (VALUE.replace(b"\x06c-1", b"\x06\xff-1"), 2, r"field customer_id, at byte 13: is not UTF-8"),
        (VALUE[:9] + b"\x01" + VALUE[10:], 1, r"field request_id, at byte 9: a length of -1 bytes"),
    ],
    ids=["cut", "left over", "no text", "negative"],
)
def test_fields_before_the_fault_and_where_it_is(spoilt: bytes, fields: int, fault: str) -> None:
    """Everything before the first field that cannot be read; the fault names the field and the byte."""
    seen = CODEC.glimpse(spoilt)
    assert seen is not None
    assert list(seen.fields.items()) == list(ORDER.to_json().items())[:fields]
    assert re.fullmatch(fault, seen.fault), seen.fault


def test_a_list_is_shown_up_to_the_fault_inside_of_it() -> None:
    """Whole items, and what was read of the one that is spoilt."""
    seen = CODEC.glimpse(VALUE[:-4])
    assert seen is not None
    assert seen.fields["lines"] == [
        LINE.to_json(),
        {"sku": "B", "quantity": 2, "unit_price": "19.99"},
    ]
    assert seen.fault.startswith("field lines[1].discount, at byte ")


def test_an_unknown_writer_is_read_as_what_its_headers_claim() -> None:
    """Without a schema for the id, the present schema of the claimed type; without either, nothing."""
    unknown = b"\x00\x7f\xff\xff\xff" + VALUE[5:]
    seen = CODEC.glimpse(unknown, ORDER.TYPE)
    assert seen is not None
    assert seen.fields == ORDER.to_json()
    assert CODEC.glimpse(unknown, "nobody.knows") is None
    assert CODEC.glimpse(b'{"a": 1}', ORDER.TYPE) is None
    assert CODEC.glimpse(None) is None


def test_hostile_values_are_glimpsed_at_too() -> None:
    """What nothing else decodes is shown without an error, and a schema without bounds is not even begun."""
    codec = hostile.codec_with_newer_writers()
    hostile_avro.teach_hostile_writers(codec)
    for name, value in list(hostile_avro.by_hand(codec))[::3]:
        seen = codec.glimpse(value)
        assert seen is None or len(seen.fault) < 300, name
    for _, value in hostile.mutated(codec, 5, 500):
        codec.glimpse(value)
