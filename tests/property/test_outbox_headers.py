"""What the relay and PostgreSQL write quickly is what the envelope says, in records that aiokafka reads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import pytest_asyncio
from aiokafka.partitioner import murmur2 as reference
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from infra.queries import load
from outbox.columns import ROW
from outbox.headers import ExtensionHeaders, Headers, headers_of
from outbox.partitioner import murmur2
from outbox.record_batch import RecordBatch
from outbox.shards import GROUPS, SHARDS, group_of, shard_of, shards_of
from outbox.varint import Varints, framed, read_varint, varint
from schemas.envelope import Envelope
from tests.effort import tries

_SQL = load(__file__, "test_outbox_headers.sql", row=ROW)
_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
_SIZED = st.sampled_from([63, 64, 8191, 8192]).map(lambda size: "x" * size)
"""Around the places where a length takes one more byte."""
_NAME = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
_PLAIN = Envelope(UUID(int=7), "test.Happened", "/test", None, datetime(1970, 1, 1, tzinfo=UTC))
_LONGEST = "x" * 1_048_575
"""Bytes: what three bytes of length can say."""


@pytest_asyncio.fixture(loop_scope="session")
async def connection(postgres_dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """To a database of the test's own, without an outbox."""
    opened = await asyncpg.connect(postgres_dsn)
    yield opened
    await opened.close()


@given(
    envelope=st.builds(
        Envelope,
        id=st.uuids(),
        type=_TEXT | _SIZED,
        source=_TEXT | _SIZED,
        subject=st.none() | _TEXT | _SIZED,
        time=st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),
        sequence=st.none() | st.integers(0, 2**63 - 1),
        correlation_id=st.none() | _TEXT | _SIZED,
        causation_id=st.none() | _TEXT | _SIZED,
        traceparent=st.none() | _TEXT | _SIZED,
        extensions=st.dictionaries(_NAME, _TEXT, max_size=3),
    )
)
@example(replace(_PLAIN, subject=""))
@example(replace(_PLAIN, subject=_LONGEST, causation_id=_LONGEST + "y"))
@settings(max_examples=tries(100, 1000), suppress_health_check=list(HealthCheck))
async def test_headers_are_those_of_the_envelope(
    connection: asyncpg.Connection[Any], envelope: Envelope
) -> None:
    """Same names, same bytes, same order, for every envelope; and they are as many as the row says."""
    row = await connection.fetchrow(
        _SQL["row"],
        1,
        envelope.id,
        envelope.type,
        envelope.source,
        envelope.time,
        envelope.subject,
        envelope.sequence,
        envelope.correlation_id,
        envelope.causation_id,
        json.dumps(dict(envelope.extensions)),
        envelope.traceparent,
        b"",
    )
    assert row is not None
    written = headers_of(row)
    assert written == envelope.to_headers()
    assert row["headers"] + ExtensionHeaders()[row["extensions"]][0] == len(written)


async def test_a_time_that_no_record_can_say_spoils_none(connection: asyncpg.Connection[Any]) -> None:
    """Infinity and the year 12026 have no header of 27 characters; the headers beside theirs can be read."""
    ends = [UUID(int=1), "t", "/s"], [None, 5, None, None, "{}", None, b""]
    for time in ("'infinity'", "'-infinity'", "'12026-01-01Z'", "'0044-03-15Z BC'"):
        row = await connection.fetchrow(
            _SQL["row"].replace("$5::timestamptz", f"coalesce({time}::timestamptz, $5::timestamptz)"),
            *(1, *ends[0], datetime.now(UTC), *ends[1]),
        )
        assert row is not None
        written = dict(headers_of(row))
        assert (len(written["ce_time"]), written["ce_sequence"]) == (27, b"%020d" % 5), time


class _Record(NamedTuple):
    timestamp_ms: int
    key: str
    value: bytes
    headers: Headers


_RECORDS = st.lists(
    st.builds(
        _Record,
        timestamp_ms=st.integers(0, 2**42),
        key=_TEXT,
        value=st.binary(max_size=100) | st.sampled_from([63, 64, 8191, 8192]).map(bytes),
        headers=st.lists(st.tuples(_NAME, st.binary(max_size=70)), min_size=3, max_size=70),
    ),
    min_size=1,
    max_size=100,
)


@given(
    records=_RECORDS,
    compression=st.none() | st.sampled_from(["gzip", "snappy", "lz4", "zstd"]),
    transactional=st.booleans(),
    producer=st.tuples(st.integers(0, 2**62), st.integers(0, 2**15 - 1), st.integers(0, 2**31 - 1)),
)
def test_a_batch_is_read_as_it_was_written(
    records: list[_Record], compression: str | None, transactional: bool, producer: tuple[int, int, int]
) -> None:
    """Keys, values, headers, timestamps, offsets, and what the broker looks at: checksum, producer, transaction."""
    batch = RecordBatch(2**20, Varints(), compression=compression, transactional=transactional)
    for one in records:
        assert _added(batch, one)
    batch._set_producer_state(*producer)
    built = bytes(batch._build())
    memory = MemoryRecords(built)
    read = memory.next_batch()
    assert read is not None
    assert read.validate_crc()
    assert not memory.has_next()
    assert (read.producer_id, read.producer_epoch, read.base_sequence) == producer
    assert (read.is_transactional, read.is_control_batch, read.base_offset) == (transactional, False, 0)
    assert read.max_timestamp == max(one.timestamp_ms for one in records)
    assert [_Record(one.timestamp, one.key.decode(), one.value, list(one.headers)) for one in read] == records
    assert (batch.record_count(), batch.closed()) == (len(records), True)
    assert bytes(batch._build()) == built, "a batch that is sent again is the same"


@given(records=_RECORDS, limit=st.integers(0, 3000))
def test_a_batch_keeps_within_its_limit_or_has_one_record(records: list[_Record], limit: int) -> None:
    """What does not fit is refused, and leaves the batch as it was."""
    batch = RecordBatch(limit, Varints())
    added = 0
    for one in records:
        if not _added(batch, one):
            break
        added += 1
    batch.append(key=b"", value=b"", timestamp=0, headers=[])  # as aiokafka would; nobody else adds to it
    assert batch.record_count() == added
    assert batch.size() == len(batch._build())
    assert added == 1 or batch.size() <= limit


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_are_read_as_they_were_written(number: int) -> None:
    """By us and by aiokafka; remembered or not."""
    written = varint(number)
    assert read_varint(b"x" + written + b"x", 1) == (number, 1 + len(written))
    assert decode_varint(bytearray(written), 0) == (number, len(written))
    varints = Varints()
    assert varints[number] == varints[number] == written


@given(st.binary(max_size=64))
def test_murmur2_is_that_of_the_java_client(data: bytes) -> None:
    """The partition of a key does not depend on who writes it."""
    assert murmur2(data) == reference(data)


@given(st.text(max_size=40))
def test_every_key_has_one_group(key: str) -> None:
    """A key's shard lies in exactly one group's shards."""
    shard = shard_of(key)
    assert 0 <= shard < SHARDS
    assert [group for group in range(GROUPS) if shard in shards_of([group])] == [group_of(shard)]


def _added(batch: RecordBatch, record: _Record) -> bool:
    pieces = [framed(name.encode()) + framed(value) for name, value in record.headers]
    headers = (b"".join(pieces[:1]), b"".join(pieces[1:2]), b"".join(pieces[2:]))
    return batch.add(
        record.timestamp_ms, framed(record.key.encode()), record.value, len(record.headers), headers
    )
