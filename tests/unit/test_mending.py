"""What a person mends stays the event that it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from consumers.bridge.dead_letters import DeadLetter
from consumers.bridge.delivery import Reason
from consumers.bridge.reading import RecordReader
from consumers.replay.letters import FoundLetter
from consumers.replay.mending import Draft, mend
from consumers.runtime.record import ConsumedRecord
from schemas.codec import Codec
from schemas.events import PickCompleted
from schemas.ids import SchemaIds
from schemas.lookup import SchemaLookup

NOW = datetime(2026, 11, 1, tzinfo=UTC)
CODEC = Codec(SchemaIds.local())
READER = RecordReader(CODEC, SchemaLookup(CODEC, cast(Any, None)), cluster_id="cluster")
PICKED = PickCompleted(order_id="7", picked_at=NOW)


@pytest.mark.parametrize(
    "headers",
    [
        (("ce_type", PICKED.TYPE.encode()), ("ce_id", b"wms-0815"), ("ce_source", b"/wms")),
        (("ce_type", PICKED.TYPE.encode()), ("ce_id", b"\xff\xfe")),
        (("ce_type", PICKED.TYPE.encode()),),
    ],
    ids=["an id of a stranger", "an id that is no text", "no id"],
)
def test_whatever_the_headers_were_the_event_id_stays(headers: tuple[tuple[str, bytes], ...]) -> None:
    """Also where the id was derived from what is changed now, or could not be read: the ledger knows it by that."""
    record = ConsumedRecord("wms.warehouse", 3, 17, b"7", CODEC.encode(PICKED)[:-2], headers, 0)
    letter = DeadLetter(record, Reason.TRUNCATED, READER.event_id(record), "", None, NOW)
    stored = replace(record, topic=letter.topic, headers=tuple(letter.to_headers()))
    mended = mend(
        FoundLetter(stored, letter, PICKED.TYPE),
        Draft(PickCompleted, {"order_id": "7"}, whole=False, fault="cut"),
        PICKED.to_json(),
        [],
        {"ce_source": "/warehouse"},
        codec=CODEC,
        reader=READER,
        actor="tester@here",
        now=NOW,
    )
    made = mended.letter.record
    assert READER.event_id(made) == letter.event_id
    assert (made.coordinates, made.key) == (record.coordinates, record.key)
    assert CODEC.decode(made.value) == PICKED
