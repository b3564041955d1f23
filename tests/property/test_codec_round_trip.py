"""Claims about the codec over events and bytes that nobody thought of."""

from __future__ import annotations

import tracemalloc
from datetime import UTC
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.catalog import Catalog
from schemas.codec import Codec
from schemas.errors import DecodeError
from schemas.event import Event
from schemas.events import EVENTS
from schemas.ids import SchemaIds
from schemas.primitives import amount, instant, micros
from tests.effort import tries

_CATALOG = Catalog.load()


@pytest.fixture(scope="module")
def codec() -> Codec:
    """A codec with ids of its own, no registry."""
    return Codec(SchemaIds.local())


def _records(schema: dict[str, Any], key: str) -> st.SearchStrategy[dict[str, Any]]:
    """Records of ``schema`` as the generated ``from_record`` takes them, with a key that is not empty."""
    fields = {field["name"]: _values(field["type"]) for field in schema["fields"]}
    if key:
        fields[key] = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
    return st.fixed_dictionaries(fields)


def _values(type_: Any) -> st.SearchStrategy[Any]:
    if isinstance(type_, list):
        return st.one_of([_values(branch) for branch in type_])
    if isinstance(type_, dict) and type_.get("logicalType") == "decimal":
        bound = 10 ** int(type_["precision"]) - 1
        return st.integers(-bound, bound).map(lambda n: n.to_bytes(8, "big", signed=True))
    if isinstance(type_, dict) and type_.get("logicalType") == "timestamp-micros":
        return st.datetimes(timezones=st.just(UTC)).map(micros)
    if isinstance(type_, dict) and type_["type"] == "array":
        return st.lists(_values(type_["items"]), max_size=4)
    if isinstance(type_, dict) and type_["type"] == "record":
        return _records(type_, "")
    return {
        "null": st.none(),
        "string": st.text(st.characters(codec="utf-8"), max_size=20),
        "boolean": st.booleans(),
        "int": st.integers(-(2**31), 2**31 - 1),
        "long": st.integers(-(2**63), 2**63 - 1),
    }[type_]


def events() -> st.SearchStrategy[Event]:
    """Any event of the catalog, with any values that its schema can hold."""
    return st.one_of(
        [
            _records(schema.schema, schema.key).map(event.from_record)
            for event, schema in zip(EVENTS, _CATALOG.events, strict=True)
        ]
    )


@given(event=events())
@settings(max_examples=tries(100, 3_000))
def test_every_event_survives_its_bytes_and_its_json(codec: Codec, event: Event) -> None:
    """Encoding and decoding, to Avro and to JSON, gives back the same event, to the last digit."""
    assert codec.decode(codec.encode(event)) == event
    assert type(event).from_json(event.to_json()) == event
    assert type(event).from_record(event.to_record()) == event


@given(event=events(), data=st.data())
@settings(max_examples=tries(150, 5_000))
def test_mutated_bytes_are_an_event_or_a_decode_error(
    codec: Codec, event: Event, data: st.DataObject
) -> None:
    """Bytes changed, cut, doubled or put in anywhere: an event that can be encoded again, or DecodeError."""
    value = bytearray(codec.encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(0, len(value) - 1)))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "double", "swap id"])):
            case "flip" if value:
                value[at] = data.draw(st.integers(0, 255))
            case "cut":
                del value[at:]
            case "insert":
                value[at:at] = data.draw(st.binary(max_size=12))
            case "double":
                value += value[at:]
            case _:
                value[1:5] = data.draw(st.integers(1, len(EVENTS))).to_bytes(4, "big")
    _is_event_or_error(codec, bytes(value))


@given(number=st.integers(1, len(EVENTS)), body=st.binary(max_size=400))
@settings(max_examples=tries(150, 5_000))
def test_random_bytes_are_an_event_or_a_decode_error(codec: Codec, number: int, body: bytes) -> None:
    """Any bytes behind a known id are an event or a DecodeError, nothing else."""
    _is_event_or_error(codec, b"\x00" + number.to_bytes(4, "big") + body)


@given(number=st.integers(1, len(EVENTS)), part=st.binary(min_size=1, max_size=8))
@settings(max_examples=tries(30, 500))
def test_large_hostile_values_take_memory_in_proportion(codec: Codec, number: int, part: bytes) -> None:
    """A value of 1 MiB made of any repeated bytes takes at most 16 times its size to refuse or to read."""
    value = b"\x00" + number.to_bytes(4, "big") + part * ((1 << 20) // len(part) - 5)
    tracemalloc.start()
    try:
        _is_event_or_error(codec, value)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


@given(unscaled=st.integers(-(10**18) + 1, 10**18 - 1))
def test_amounts_are_exact(unscaled: int) -> None:
    """An amount read from bytes is that number of cents, no more and no less."""
    raw = unscaled.to_bytes(8, "big", signed=True)
    assert amount(raw, 18, 2) * 100 == unscaled
    assert isinstance(amount(raw, 18, 2), Decimal)


@given(since=st.integers())
def test_times_outside_of_the_calendar_are_refused(since: int) -> None:
    """Any number of microseconds is a time in UTC or an OverflowError."""
    try:
        assert instant(since).tzinfo is UTC
    except OverflowError:
        assert abs(since) > 10**16


def _is_event_or_error(codec: Codec, value: bytes) -> None:
    try:
        event = codec.decode(value)
    except DecodeError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right
        return
    if event.key:
        assert codec.decode(codec.encode(event)) == event
