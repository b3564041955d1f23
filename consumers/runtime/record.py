"""A record as a handler sees it, whichever client read it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class ConsumedRecord:
    """One record of a Kafka topic, its bytes untouched. A value: nobody changes one.

    (It is not frozen because making a frozen one takes four times as long, and one is made of every record.)

    ``timestamp_ms`` is the record's Kafka timestamp in milliseconds since 1970 UTC. A header may stand more
    than once; a header without a value has ``b""``.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int

    @property
    def coordinates(self) -> str:
        """``topic[partition]@offset``, the way logs and errors name a record."""
        return f"{self.topic}[{self.partition}]@{self.offset}"

    def header(self, name: str) -> str | None:
        """The last header called ``name`` as text, or None. Bytes that are not UTF-8 are replaced, not
        refused."""
        for key, value in reversed(self.headers):
            if key == name:
                return value.decode("utf-8", "replace")
        return None


def record_of(message: Any) -> ConsumedRecord:
    """The record in a message of aiokafka's consumer."""
    headers = message.headers
    for _, value in headers:
        if value is None:
            headers = tuple((name, value or b"") for name, value in headers)
            break
    return ConsumedRecord(
        message.topic,
        message.partition,
        message.offset,
        message.key,
        message.value,
        headers,
        message.timestamp,
    )
