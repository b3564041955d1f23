"""The columns that a row of ``outbox.events`` and of ``outbox.parked`` is read as: ``SELECT {row}``.

PostgreSQL formats the headers, in a process of its own beside the relay, which is left with a few pieces to put
together (docs/decisions/0020). A test holds them equal to the envelope's (tests/integration/test_outbox_headers.py).
"""

from __future__ import annotations

from typing import Final

from infra.queries import load
from outbox.varint import framed, varint
from schemas.envelope import CONTENT_TYPE, SEQUENCE_DIGITS

_SQL = load(__file__, "columns.sql")

_SIZES: Final = {
    "ce_id": 36,
    "ce_source": None,
    "ce_type": None,
    "ce_time": 27,
    "ce_subject": None,
    "ce_sequence": SEQUENCE_DIGITS,
    "ce_correlationid": None,
    "ce_causationid": None,
    "content-type": None,
    "traceparent": None,
    "id": 36,
}
"""Headers, and how many bytes each has where that is known."""
_TEXTS: Final = ("source", "type", "subject", "correlation_id", "causation_id", "traceparent")
"""Columns whose length is not known beforehand."""


def _row() -> str:
    begin = {name: framed(name.encode()) + (varint(size) if size else b"") for name, size in _SIZES.items()}
    begin["ce_id"] = framed(b"ce_specversion") + framed(b"1.0") + begin["ce_id"]
    begin["content-type"] += framed(CONTENT_TYPE.encode())
    names = {name.replace("-", "_"): f"'\\x{data.hex()}'::bytea" for name, data in begin.items()}
    lengths = {f"{text}_length": _SQL["length"].format(text=text) for text in _TEXTS}
    return _SQL["row"].format(**names, **lengths)


ROW: Final = _row()
"""``id, topic, key, shard, timestamp_ms, headers, head, extensions, tail, value``."""
