"""Claims about the bytes of an event: the frame, what is refused, and what it may cost."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from io import BytesIO
from typing import Any

import fastavro
import pytest

from schemas.catalog import Catalog
from schemas.codec import Codec
from schemas.errors import DecodeError, EncodeError, UnknownEventError, UnknownSchemaError
from schemas.events import EVENTS, OrderLine, OrderRejected, OrderSubmitted, PickCompleted
from schemas.ids import SchemaIds
from schemas.limits import Limits

PICKED = PickCompleted(order_id="o-1", wave_id="w-1", picked_at=datetime(2026, 11, 21, 9, 30, 0, 5, UTC))
LINE = OrderLine(sku="A", quantity=2, unit_price=Decimal("19.99"), discount=Decimal("0.15"))
ORDER = OrderSubmitted(
    order_id="o-1",
    request_id="r-1",
    customer_id="c-1",
    currency="EUR",
    ordered_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
    lines=(LINE,),
)


@pytest.fixture
def codec() -> Codec:
    """A codec with ids of its own, no registry."""
    return Codec(SchemaIds.local())


def written(schema_id: int, schema: dict[str, Any], record: dict[str, Any]) -> bytes:
    """What a foreign producer with ``schema`` would send."""
    sink = BytesIO()
    sink.write(struct.pack(">bI", 0, schema_id))
    fastavro.schemaless_writer(sink, fastavro.parse_schema(schema), record)
    return sink.getvalue()


def evolved(*, without: str = "", extra: dict[str, Any] | None = None, **changed: Any) -> dict[str, Any]:
    """The schema of PickCompleted without a field, with another one, or with fields of another type."""
    schema = Catalog.load().of("PickCompleted").schema
    fields = [
        {**field, "type": changed.get(field["name"], field["type"])}
        for field in schema["fields"]
        if field["name"] != without
    ]
    return {**schema, "fields": [*fields, *([extra] if extra else [])]}


def test_frame_is_that_of_the_confluent_serialisers(codec: Codec) -> None:
    """A value is byte 0, the id in four bytes, big-endian, and Avro binary; here byte for byte."""
    schema_id = SchemaIds.local().of(PickCompleted)
    micros = (PICKED.picked_at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    body = BytesIO()
    fastavro.schemaless_writer(body, {"type": "long"}, micros)
    assert codec.encode(PICKED) == (
        b"\x00" + schema_id.to_bytes(4, "big") + b"\x06o-1" + b"\x02\x06w-1" + body.getvalue()
    )


def test_type_comes_from_the_id_alone(codec: Codec) -> None:
    """The type of a value is known without decoding it, even when the rest is rubbish."""
    assert codec.type_of(codec.encode(PICKED)[:5] + b"\xff") == "tidegate.wms.warehouse.PickCompleted"


def test_what_is_decoded_is_what_was_encoded(codec: Codec) -> None:
    """Amounts keep every digit and times every microsecond."""
    assert codec.decode(codec.encode(ORDER)) == ORDER
    assert codec.decode(codec.encode(PICKED)) == PICKED


def test_times_are_utc_whatever_the_zone_they_came_in(codec: Codec) -> None:
    """A time in another zone is the same instant, and is read in UTC."""
    there = PICKED.picked_at.astimezone(timezone(timedelta(hours=9)))
    decoded = codec.decode(codec.encode(replace(PICKED, picked_at=there)))
    assert isinstance(decoded, PickCompleted)
    assert decoded == PICKED
    assert decoded.picked_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "no value"),
        (b"", "0 bytes"),
        (b"\x00\x00\x00\x00", "4 bytes"),
        (b'{"order_id": "o-1"}', "byte 0"),
        (b"\x00" + bytes(1 << 20), "more than"),
    ],
)
def test_bytes_without_a_frame_are_refused(codec: Codec, value: bytes | None, says: str) -> None:
    """A missing, short, unframed or oversized value is a DecodeError that says which."""
    for ask in (codec.decode, codec.type_of):
        with pytest.raises(DecodeError, match=says):
            ask(value)


def test_unknown_id_is_an_error_of_its_own(codec: Codec) -> None:
    """A schema id that nobody has met is told apart, in one line that names it."""
    with pytest.raises(UnknownSchemaError, match="schema id 4711 is not known") as caught:
        codec.decode(b"\x00" + (4711).to_bytes(4, "big") + b"\x00")
    assert caught.value.schema_id == 4711
    assert "\n" not in str(caught.value)


def test_truncated_value_is_refused(codec: Codec) -> None:
    """However a value is cut off, it is a DecodeError."""
    for event in (PICKED, ORDER):
        value = codec.encode(event)
        for length in range(len(value)):
            with pytest.raises(DecodeError):
                codec.decode(value[:length])


def test_bytes_left_over_are_refused(codec: Codec) -> None:
    """A value must be consumed to its last byte: what follows was written with another schema."""
    with pytest.raises(DecodeError, match="1 of them are left over"):
        codec.decode(codec.encode(PICKED) + b"\x00")


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"quantity": 1.5}, r"field lines\[0\]\.quantity \(int\): 1.5 is not a whole number"),
        ({"quantity": True}, r"quantity \(int\)"),
        ({"quantity": 1 << 31}, "does not fit 32 bits"),
        ({"unit_price": Decimal("1.005")}, r"unit_price \(decimal\(18,2\)\).*more than 2 digits after"),
        ({"unit_price": Decimal("1." + "0" * 40 + "1")}, "more than 2 digits after"),
        ({"unit_price": Decimal("1E-999999")}, "more than 2 digits after"),
        ({"unit_price": Decimal(10) ** 16}, "more than 16 digits before"),
        ({"unit_price": Decimal("1E+999999")}, "more than 16 digits before"),
        ({"unit_price": Decimal("NaN")}, "not a finite number"),
        ({"unit_price": 1.0}, "is not a Decimal"),
        ({"discount": Decimal("12.5")}, r"discount \(decimal\(5,4\)\)"),
        ({"sku": None}, r"sku \(string\): None is not text"),
        ({"sku": "\ud800"}, r"sku \(string\): text of 1 characters"),
    ],
)
def test_what_does_not_fit_is_named(codec: Codec, wrong: dict[str, Any], says: str) -> None:
    """An encode error names the event, the field, its type and the reason."""
    with pytest.raises(EncodeError, match=r"tidegate\.oms\.orders\.OrderSubmitted: field lines") as caught:
        codec.encode(replace(ORDER, lines=(replace(LINE, **wrong),)))
    assert caught.match(says)


def test_encode_errors_do_not_repeat_text(codec: Codec) -> None:
    """Text in the wrong field may be personal, and errors are logged: its length is told, not its words."""
    wrong: Any = "Ada Lovelace"
    with pytest.raises(EncodeError, match=r"picked_at \(timestamp-micros\): text of 12 characters") as caught:
        codec.encode(replace(PICKED, picked_at=wrong))
    assert "Ada" not in str(caught.value)


def test_time_without_zone_is_refused(codec: Codec) -> None:
    """A naive datetime would be read as local time: it is refused, not guessed."""
    with pytest.raises(EncodeError, match="without a time zone"):
        codec.encode(replace(PICKED, picked_at=datetime(2026, 11, 21)))


def test_event_without_key_is_refused(codec: Codec) -> None:
    """An event whose key is empty has no aggregate and no partition of its own."""
    with pytest.raises(EncodeError, match="field order_id is empty"):
        codec.encode(replace(PICKED, order_id=""))


def test_text_for_a_list_is_refused(codec: Codec) -> None:
    """A str is a sequence of str, but not a list of reasons."""
    wrong: Any = "because"
    event = OrderRejected(order_id="o", request_id="r", reasons=wrong, rejected_at=ORDER.ordered_at)
    with pytest.raises(EncodeError, match=r"field reasons \(array\)"):
        codec.encode(event)


def test_what_could_not_be_read_is_not_written(codec: Codec) -> None:
    """The limits of reading hold for writing: too many lines, too long a text, too large a value."""
    for event, says in (
        (replace(ORDER, lines=(LINE,) * 5_001), "more than 5000 items"),
        (replace(ORDER, customer_id="x" * 70_000), "a string of 70000 bytes"),
        (replace(ORDER, lines=(replace(LINE, sku="x" * 60_000),) * 20), "more than 1048576"),
    ):
        with pytest.raises(EncodeError, match=says):
            codec.encode(event)
    large = replace(ORDER, lines=(LINE,) * 5_000)
    assert codec.decode(codec.encode(large)) == large


def test_older_writer_is_read_with_the_default(codec: Codec) -> None:
    """A record written before a field existed has the field's default."""
    codec.learn(900, evolved(without="wave_id"))
    value = written(900, evolved(without="wave_id"), {"order_id": "o-1", "picked_at": PICKED.picked_at})
    assert codec.decode(value) == replace(PICKED, wave_id=None)


def test_newer_writer_is_read_without_the_field_unknown_here(codec: Codec) -> None:
    """A field that a newer writer added is passed over, wherever it stands."""
    newer = evolved(extra={"name": "weight", "type": ["null", "int"], "default": None, "doc": "Grams."})
    codec.learn(901, newer)
    record = {"order_id": "o-1", "wave_id": "w-1", "picked_at": PICKED.picked_at, "weight": 7}
    assert codec.decode(written(901, newer, record)) == PICKED


def test_writer_whose_bytes_mean_something_else_is_refused(codec: Codec) -> None:
    """Milliseconds read as microseconds would be a wrong time without a word: a DecodeError instead."""
    millis = evolved(picked_at={"type": "long", "logicalType": "timestamp-millis"})
    codec.learn(902, millis)
    value = written(902, millis, {"order_id": "o-1", "wave_id": None, "picked_at": PICKED.picked_at})
    with pytest.raises(DecodeError, match=r"schema id 902 .*logicalType"):
        codec.decode(value)
    assert codec.type_of(value) == PickCompleted.TYPE


def test_record_outside_of_the_catalog_has_a_type_and_no_event(codec: Codec) -> None:
    """An id may name a record that we do not have: its type is known, decoding it is refused."""
    codec.learn(903, {"type": "record", "name": "Elsewhere", "namespace": "a.b", "fields": []})
    assert codec.type_of(b"\x00\x00\x00\x03\x87") == "a.b.Elsewhere"
    with pytest.raises(UnknownEventError, match=r"a\.b\.Elsewhere is not in the catalog"):
        codec.decode(b"\x00\x00\x00\x03\x87")


@pytest.mark.parametrize(
    ("hostile", "says"),
    [
        ({"type": "array", "items": "null"}, "take no bytes"),
        ({"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}, "take no bytes"),
        ({"type": "array", "items": {"type": "fixed", "name": "Nothing", "size": 0}}, "take no bytes"),
        (
            {"type": "record", "name": "Loop", "fields": [{"name": "x", "type": ["null", "Loop"]}]},
            "contains itself",
        ),
        ({"type": "map", "values": {"type": "array", "items": "null"}}, "take no bytes"),
    ],
)
def test_writers_whose_bytes_cost_without_bound_are_refused(codec: Codec, hostile: Any, says: str) -> None:
    """Five bytes of array<null> once made thirty million elements: such a writer's schema is never used."""
    codec.learn(904, evolved(extra={"name": "trap", "type": hostile}))
    body = b"\x06o-1" + b"\x00" + b"\x00" + b"\xfe\xff\xff\xff\x0f"
    with pytest.raises(DecodeError, match=says):
        codec.decode(b"\x00" + (904).to_bytes(4, "big") + body)


def test_deep_writer_is_refused(codec: Codec) -> None:
    """A schema nested beyond reason, or so deep that parsing it overflows, is one DecodeError."""
    for depth in (40, 5_000):
        deep: Any = "int"
        for _ in range(depth):
            deep = {"type": "array", "items": deep}
        codec.learn(905, evolved(extra={"name": "trap", "type": deep}))
        with pytest.raises(DecodeError, match="schema id 905"):
            codec.decode(b"\x00" + (905).to_bytes(4, "big") + b"\x00")


def test_long_decimal_is_refused_before_it_is_converted(codec: Codec) -> None:
    """A decimal of many bytes costs nothing: fastavro alone took two minutes for 1 MiB of them."""
    frame = codec.encode(ORDER)[:5]
    head = b"\x06o-1\x06r-1\x06c-1\x06EUR\x00\x02\x02A\x04"
    for size, says in ((20, "20 bytes, more than 16"), (1 << 19, "a bytes of 524288 bytes")):
        number = BytesIO()
        fastavro.schemaless_writer(number, "bytes", b"\x7f" * size)
        with pytest.raises(DecodeError, match=says):
            codec.decode(frame + head + number.getvalue() + b"\x02\x00\x00")


def test_decimal_with_too_many_digits_is_refused_not_rounded(codec: Codec) -> None:
    """Eight bytes hold nineteen digits, one more than the schema has: an error, where fastavro rounds."""
    frame = codec.encode(ORDER)[:5]
    head = b"\x06o-1\x06r-1\x06c-1\x06EUR\x00\x02\x02A\x04"
    with pytest.raises(DecodeError, match="more than 18 digits"):
        codec.decode(frame + head + b"\x10\x7f" + b"\xff" * 7 + b"\x02\x00\x00")


def test_array_of_a_million_tiny_items_is_refused_before_it_is_built() -> None:
    """The items of a large value are counted on the bytes; the count alone is enough to refuse it."""
    codec = Codec(SchemaIds.local(), limits=Limits(items=1000))
    head = codec.encode(
        OrderRejected(order_id="o", request_id="r", reasons=(), rejected_at=ORDER.ordered_at)
    )[:9]
    count = BytesIO()
    fastavro.schemaless_writer(count, "long", 900_000)
    with pytest.raises(DecodeError, match="more than 1000 items"):
        codec.decode(head + count.getvalue() + bytes(900_000) + b"\x00\x00")


def test_local_ids_follow_the_catalog() -> None:
    """Without a registry every event has an id, its place in the catalog."""
    ids = SchemaIds.local()
    assert [ids.of(event) for event in EVENTS] == list(range(1, len(EVENTS) + 1))
    assert [event.TYPE for event in EVENTS] == [event.type for event in Catalog.load().events]


def test_event_that_was_not_registered_cannot_be_encoded() -> None:
    """A codec knows the events that its ids know, and says what to do about the others."""
    codec = Codec(SchemaIds({OrderSubmitted: 1}, {}))
    with pytest.raises(EncodeError, match="PickCompleted has no schema id: run `tidegate schemas register`"):
        codec.encode(PICKED)
