"""Claims about the headers of a record, ours and those of foreign producers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from infra.ids import derived_id
from schemas.envelope import Envelope
from schemas.errors import DecodeError

OURS = Envelope(
    id=UUID("018f2d6e-0000-7000-8000-000000000001"),
    type="tidegate.oms.orders.OrderCreated",
    source="/services/oms",
    subject="o-1",
    time=datetime(2026, 11, 21, 9, 30, 0, 5, UTC),
    sequence=7,
    correlation_id="o-1",
    causation_id="c-1",
    traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    extensions={"flow": "direct"},
)


def type_by_schema(value: bytes | None) -> str:
    """Stands for a codec that knows one schema, and refuses a record without a value."""
    if value is None:
        raise DecodeError("the record has no value")
    return "tidegate.oms.orders.ByItsSchema"


def read(headers: list[tuple[str, bytes | None]], *, value: bytes | None = b"v", offset: int = 9) -> Envelope:
    """The envelope of a record with ``headers`` at a fixed place."""
    return Envelope.of(
        headers,
        value=value,
        codec_type_of=type_by_schema,
        cluster_id="cluster",
        topic="oms.orders",
        partition=3,
        offset=offset,
        timestamp_ms=1_795_253_400_000,
    )


def test_headers_are_cloud_events_in_binary_mode() -> None:
    """The headers on the wire, one by one."""
    assert dict(OURS.to_headers()) == {
        "ce_specversion": b"1.0",
        "ce_id": b"018f2d6e-0000-7000-8000-000000000001",
        "ce_source": b"/services/oms",
        "ce_type": b"tidegate.oms.orders.OrderCreated",
        "ce_time": b"2026-11-21T09:30:00.000005Z",
        "ce_subject": b"o-1",
        "ce_sequence": b"00000000000000000007",
        "ce_correlationid": b"o-1",
        "ce_causationid": b"c-1",
        "ce_flow": b"direct",
        "content-type": b"application/avro",
        "traceparent": OURS.traceparent.encode() if OURS.traceparent else b"",
        "id": b"018f2d6e-0000-7000-8000-000000000001",
    }


def test_what_is_not_known_is_not_sent() -> None:
    """A header without a value is left out, not sent empty."""
    bare = replace(
        OURS,
        subject=None,
        sequence=None,
        correlation_id=None,
        causation_id=None,
        traceparent=None,
        extensions={},
    )
    names = [name for name, _ in bare.to_headers()]
    assert names == ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type", "id"]
    assert read([*bare.to_headers()]) == bare


def test_our_headers_come_back_as_they_were() -> None:
    """Nothing of an envelope is lost on the wire, and the value is not asked for."""
    assert read([*OURS.to_headers()], value=None) == OURS


def test_sequences_compare_as_text_as_they_compare_as_numbers() -> None:
    """CloudEvents compares sequences as text: nine must come before ten."""
    nine, ten = (dict(replace(OURS, sequence=n).to_headers())["ce_sequence"] for n in (9, 10))
    assert nine < ten


def test_foreign_record_without_headers_has_a_type_an_id_and_a_time() -> None:
    """A plain producer sends a value only: type by schema, id by place, time of the record."""
    envelope = read([])
    assert envelope.type == "tidegate.oms.orders.ByItsSchema"
    assert envelope.id == derived_id("foreign", "cluster", "oms.orders", 3, 9)
    assert envelope.time == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert envelope.source == "/kafka/cluster/oms.orders"
    assert envelope.sequence is None


def test_foreign_ids_are_the_same_for_every_reader_and_differ_by_place() -> None:
    """A record read again has the same id; another record has another."""
    assert read([]).id == read([]).id
    assert read([]).id != read([], offset=10).id


def test_id_that_is_no_uuid_becomes_one_by_source_and_id() -> None:
    """CloudEvents allows any text as id, unique within its source: the same pair is the same event."""
    headers: list[tuple[str, bytes | None]] = [("ce_id", b"A-17"), ("ce_source", b"/wms/eu")]
    assert read(headers).id == read(headers, offset=10).id
    assert read(headers).id != read([("ce_id", b"A-17"), ("ce_source", b"/wms/us")]).id


def test_record_that_names_no_type_in_any_way_is_refused() -> None:
    """Without ce_type and without a value there is nothing to route by."""
    with pytest.raises(DecodeError, match="no value"):
        read([("ce_id", b"x")], value=None)


def test_header_that_is_not_text_is_refused_with_its_place() -> None:
    """A type that is not UTF-8 is a DecodeError that names the record."""
    with pytest.raises(DecodeError, match=r"oms\.orders\[3\]@9: the header ce_type is not UTF-8"):
        read([("ce_type", b"\xff\xfe")])


def test_headers_that_are_not_ours_are_left_alone() -> None:
    """Headers of tracing agents and connectors, binary or not, change nothing."""
    noise: list[tuple[str, bytes | None]] = [
        ("b3", b"\xff\xfe"),
        ("__connect.x", b""),
        ("ce_", b"x"),
        ("ce_A-B", b"x"),
    ]
    assert read([*OURS.to_headers(), *noise]) == OURS


def test_malformed_details_are_dropped_not_fatal() -> None:
    """A foreign sequence, time or trace that cannot be read is as if it were not there."""
    envelope = read(
        [
            ("ce_sequence", b"seven"),
            ("ce_time", b"yesterday"),
            ("traceparent", b"\xff"),
            ("ce_subject", None),
            ("ce_correlationid", b""),
        ]
    )
    assert (envelope.sequence, envelope.traceparent, envelope.subject, envelope.correlation_id) == (None,) * 4
    assert envelope.time == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


def test_time_without_an_offset_is_not_guessed() -> None:
    """A time without zone could be anything: the record's own timestamp counts."""
    assert read([("ce_time", b"2020-01-01T00:00:00")]).time == datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
    assert read([("ce_time", b"2020-01-01T09:00:00+09:00")]).time == datetime(2020, 1, 1, tzinfo=UTC)


def test_last_of_a_repeated_header_counts() -> None:
    """As in Kafka's own lastHeader: whoever added it last knew the most."""
    assert read([("ce_type", b"a.First"), ("ce_type", b"a.Last")]).type == "a.Last"
