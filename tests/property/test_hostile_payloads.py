"""Nothing escapes DecodeError, nothing takes more than its cap: 200,000 spoilt payloads, and hostile Avro by hand."""

from __future__ import annotations

import json
import os
import sys
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader

from schemas.codec import Codec
from schemas.ids import SchemaIds
from schemas.limits import Limits, unbounded
from tests import hostile, hostile_avro
from tests.forked import fork

_SEED = 20261121


async def in_capped_process(what: str, count: int = 0, command: Any = hostile.capped) -> dict[str, Any]:
    """What a process that may take 64 MiB says of the payloads."""
    words = ["hostile", what, str(_SEED), str(count)]
    process = await fork(command, words, dict(os.environ))
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-2000:]
    report: dict[str, Any] = json.loads(out)
    return report


async def test_two_hundred_thousand_spoilt_payloads() -> None:
    """Flips, cuts, insertions, length bombs, splices, in events of every schema and of newer writers: each is an event
    that survives its own bytes, or a DecodeError of one line, within 64 MiB."""
    report = await in_capped_process("mutated", 200_000)
    assert report["escaped"] == {}
    assert report["events"] + report["refused"] == 200_000
    assert report["events"] > 1_000


async def test_hostile_avro_by_hand() -> None:
    """Huge blocks, lies about sizes, zero-width items, map keys, decimals, bad UTF-8, depth, in values and in writers'
    schemas: all refused or read, within 64 MiB."""
    report = await in_capped_process("by-hand")
    assert report["escaped"] == {}
    assert report["refused"] > 100


async def test_the_check_sees_an_exception_that_escapes() -> None:
    """A decoder without a guard lets several kinds through, and the check names them."""
    codec = Codec(SchemaIds.local())
    plain = {writer.frame: (event, writer.schema) for event, writer in codec._writers.items()}

    def unguarded(value: bytes) -> Any:
        event, schema = plain[value[:5]]
        record: Any = schemaless_reader(BytesIO(value[5:]), schema, None)
        return event.from_record(record)

    report = hostile.examine(unguarded, hostile.mutated(hostile.codec_with_newer_writers(), _SEED, 3_000))
    kinds = {name.rpartition(": ")[2] for name in report.escaped}
    assert {"EOFError", "UnicodeDecodeError", "ValueError"} <= kinds


async def test_the_check_sees_memory_that_is_not_capped() -> None:
    """A decoder without limits meets the cap, and the check says so."""
    report = await in_capped_process("by-hand", command=generous)
    assert report["escaped"] == {f"{hostile_avro.A_MILLION_LINES}: MemoryError": 1}


def generous() -> None:
    """As :func:`tests.hostile.capped`, with a codec that takes values of any size."""
    codec = Codec(SchemaIds.local(), limits=Limits(value=1 << 30, items=1 << 30, values=1 << 30))
    bombs = [each for each in hostile_avro.by_hand(codec) if each[0] == hostile_avro.A_MILLION_LINES]
    hostile.cap_memory()
    sys.stdout.write(hostile.examine(codec.decode, bombs).as_json())


@pytest.mark.parametrize(("name", "fields"), hostile_avro.writers())
def test_a_writer_is_bounded_or_refused(name: str, fields: list[dict[str, Any]]) -> None:
    """Whoever registers a trap under an event's name: what is not refused holds few values for each of its bytes."""
    schema = {"type": "record", "name": "Top", "fields": fields}
    accepted = {
        "map of null",
        "map of text",
        "a fixed of 2^40",
        "array of a hundred numbers",
        "array of null or that",
    }
    try:
        reason = unbounded(parse_schema(schema))
    except RecursionError:
        reason = "it cannot even be parsed"
    assert (reason is None) == (name in accepted), reason
