"""What the relay writes quickly is what the envelope says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from outbox.headers import HeaderWriter
from outbox.partitioner import murmur2
from outbox.shards import GROUPS, SHARDS, group_of, shard_of, shards_of
from schemas.envelope import Envelope

_TEXT = st.text(min_size=1, max_size=20)
_WRITER = HeaderWriter()


@given(
    envelope=st.builds(
        Envelope,
        id=st.uuids(),
        type=_TEXT,
        source=_TEXT,
        subject=st.none() | _TEXT,
        time=st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1)),
        sequence=st.none() | st.integers(0, 10**19),
        correlation_id=st.none() | _TEXT,
        causation_id=st.none() | _TEXT,
        traceparent=st.none() | _TEXT,
        extensions=st.dictionaries(st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True), _TEXT, max_size=3),
    )
)
def test_headers_are_those_of_the_envelope(envelope: Envelope) -> None:
    """Same names, same bytes, same order, for every envelope."""
    written = _WRITER.write(
        str(envelope.id).encode(),
        envelope.source,
        envelope.type,
        dict(envelope.to_headers())["ce_time"],
        _bytes(envelope.subject),
        None if envelope.sequence is None else b"%020d" % envelope.sequence,
        _bytes(envelope.correlation_id),
        _bytes(envelope.causation_id),
        json.dumps(dict(envelope.extensions)),
        _bytes(envelope.traceparent),
    )
    assert written == envelope.to_headers()


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


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()
