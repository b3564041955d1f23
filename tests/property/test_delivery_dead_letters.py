"""A dead letter gives back the record that it was made from, whatever that held."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.bridge.dead_letters import DeadLetter, kept
from consumers.bridge.delivery import Reason
from consumers.errors import NotADeadLetterError
from consumers.runtime.record import ConsumedRecord

RECORDS = st.builds(
    ConsumedRecord,
    topic=st.sampled_from(["oms.orders", "wms.warehouse"]),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    key=st.none() | st.binary(max_size=20),
    value=st.none() | st.binary(max_size=60),
    headers=st.lists(
        st.tuples(st.sampled_from(["ce_id", "ce_type", "x", "traceparent"]), st.binary(max_size=20)),
        max_size=5,
    ).map(tuple),
    timestamp_ms=st.integers(0, 2**62),
)
LETTERS = st.builds(
    DeadLetter,
    record=RECORDS,
    reason=st.sampled_from(Reason),
    event_id=st.uuids(),
    route=st.sampled_from(["", "PickCompleted:signal:PickCompleted"]),
    workflow_id=st.none() | st.just("order-fulfillment-7"),
    at=st.datetimes(timezones=st.just(UTC)),
)


def as_published(letter: DeadLetter) -> ConsumedRecord:
    """The letter as a reader of its topic gets it."""
    record = letter.record
    return ConsumedRecord(letter.topic, 0, 0, record.key, record.value, tuple(letter.to_headers()), 0)


@given(letter=LETTERS)
def test_there_and_back(letter: DeadLetter) -> None:
    """Reading a published letter gives the letter; publishing it again adds nothing twice."""
    read = DeadLetter.of(as_published(letter))
    assert read == letter
    again = DeadLetter(as_published(letter), letter.reason, letter.event_id, "", None, letter.at)
    names = [
        name for name, _ in again.to_headers() if name.startswith(("kafka_dlt", "__connect", "tidegate-"))
    ]
    assert len(names) == len(set(names))


@given(letter=LETTERS)
def test_what_is_added_says_nothing_of_the_content(letter: DeadLetter) -> None:
    """No added header holds the key, the value or a header of the record."""
    secret = b"Erika Mustermann"
    record = letter.record
    with_secret = DeadLetter(
        ConsumedRecord(record.topic, 0, 1, secret, secret, (("x", secret),), 0),
        letter.reason,
        letter.event_id,
        letter.route,
        letter.workflow_id,
        letter.at,
    )
    assert [name for name, value in with_secret.to_headers() if secret in value] == ["x"]


@given(record=RECORDS)
def test_a_record_with_personal_data_is_not_copied(record: ConsumedRecord) -> None:
    """Its letter says where it stands and which event it is, and holds nothing else of it."""
    secret = b"Erika Mustermann"
    hostile = replace(
        record, key=secret, value=secret, headers=(*record.headers, ("x", secret), ("ce_subject", secret))
    )
    blank = kept(hostile, Reason.PERSONAL_DATA)
    assert (blank.topic, blank.partition, blank.offset) == (record.topic, record.partition, record.offset)
    assert (blank.key, blank.value) == (None, None)
    assert {name for name, _ in blank.headers} <= {"ce_id", "ce_type"}
    assert all(kept(hostile, reason) == hostile for reason in Reason if reason is not Reason.PERSONAL_DATA)


def test_another_record_is_no_dead_letter() -> None:
    """A record without our headers is refused by name."""
    stranger = ConsumedRecord("oms.orders.dlq", 0, 5, b"k", b"v", (), 0)
    with pytest.raises(NotADeadLetterError, match=r"oms\.orders\.dlq\[0\]@5"):
        DeadLetter.of(stranger)
    spoilt = DeadLetter(stranger, Reason.LATE, UUID(int=1), "", None, datetime.now(UTC)).to_headers()
    broken = tuple((name, b"x" if name == "tidegate-dlq-timestamp" else value) for name, value in spoilt)
    with pytest.raises(NotADeadLetterError):
        DeadLetter.of(ConsumedRecord("oms.orders.dlq", 0, 5, b"k", b"v", broken, 0))
