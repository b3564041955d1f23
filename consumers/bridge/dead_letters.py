"""Dead letters: records that cannot be delivered, kept in ``<topic>.dlq`` so that nothing bad vanishes.

Key and value are the record's own bytes, unchanged, and so are its headers. What is added says where it came
from and why it is here, in the header names of Spring and of Kafka Connect, so that either's tools can read
it, and in ours. What is added never holds a value of the event (design §9, promise 8). The letter of a record that
is here because it holds personal data is no copy of it (:func:`kept`).

Source: spring-kafka ``KafkaHeaders.DLT_*``; Kafka Connect ``DeadLetterQueueReporter``; design §6.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from consumers.bridge.delivery import Reason
from consumers.errors import NotADeadLetterError
from consumers.runtime.record import ConsumedRecord
from infra.topics import dlq_of

SPRING: Final = "kafka_dlt-"
CONNECT: Final = "__connect.errors."
OURS: Final = "tidegate-dlq-"
_ADDED: Final = (SPRING, CONNECT, OURS)

EDITED: Final = "tidegate-edited-"
"""Headers of a record that a person has mended; they stay with it wherever it goes, its next letter included."""
EDITED_LETTER: Final = f"{EDITED}letter"
"""``topic:partition:offset`` of the letter that it was mended from, which still holds what was sent."""

_TELLING: Final = ("ce_id", "ce_type")

Send = Callable[[str, bytes | None, bytes | None, Sequence[tuple[str, bytes]]], Awaitable[tuple[int, int]]]
"""``send(topic, key, value, headers)``: the partition and the offset once the broker has the record; raises
:class:`~consumers.errors.DownstreamUnavailableError` while it does not."""


def kept(record: ConsumedRecord, reason: Reason) -> ConsumedRecord:
    """What of ``record`` a letter with ``reason`` keeps: all of it, but for one that holds personal data.

    Of that one only where it stands, which event it is and of which type: key, value and the other headers stay in
    the topic where its producer put them, and go with that topic's retention.
    """
    if reason is not Reason.PERSONAL_DATA:
        return record
    telling = tuple(header for header in record.headers if header[0] in _TELLING)
    return replace(record, key=None, value=None, headers=telling)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record as it was read, and why it could not be delivered.

    ``route`` is empty and ``workflow_id`` None for a record that was bad before a route could be chosen.
    """

    record: ConsumedRecord
    reason: Reason
    event_id: UUID
    route: str
    workflow_id: str | None
    at: datetime

    @property
    def topic(self) -> str:
        """The dead-letter topic that this letter belongs to."""
        return dlq_of(self.record.topic)

    def to_headers(self) -> list[tuple[str, bytes]]:
        """The record's own headers, then the coordinates and the reason under each name."""
        record, reason = self.record, self.reason
        own = [header for header in record.headers if not header[0].startswith(_ADDED)]
        failure, sentence = f"tidegate.{reason.value}", reason.sentence.encode()
        added = [
            (f"{SPRING}original-topic", record.topic.encode()),
            (f"{SPRING}original-partition", struct.pack(">i", record.partition)),
            (f"{SPRING}original-offset", struct.pack(">q", record.offset)),
            (f"{SPRING}original-timestamp", struct.pack(">q", record.timestamp_ms)),
            (f"{SPRING}original-timestamp-type", b"CreateTime"),
            (f"{SPRING}exception-fqcn", failure.encode()),
            (f"{SPRING}exception-message", sentence),
            (f"{CONNECT}topic", record.topic.encode()),
            (f"{CONNECT}partition", str(record.partition).encode()),
            (f"{CONNECT}offset", str(record.offset).encode()),
            (f"{CONNECT}exception.class.name", failure.encode()),
            (f"{CONNECT}exception.message", sentence),
            (f"{OURS}reason", reason.value.encode()),
            (f"{OURS}event-id", str(self.event_id).encode()),
            (f"{OURS}route", self.route.encode()),
            (f"{OURS}timestamp", str(record.timestamp_ms).encode()),
            (f"{OURS}at", self.at.astimezone(UTC).isoformat().encode()),
        ]
        if self.workflow_id is not None:
            added.append((f"{OURS}workflow-id", self.workflow_id.encode()))
        return own + added

    @classmethod
    def of(cls, record: ConsumedRecord) -> DeadLetter:
        """The dead letter that ``record``, read from a dead-letter topic, holds.

        Its ``record`` is the original as it was first read: topic, partition, offset, time, headers, bytes.
        Raises :class:`NotADeadLetterError` for a record that lacks our headers.
        """
        try:
            return cls(
                record=ConsumedRecord(
                    topic=_text(record, f"{CONNECT}topic"),
                    partition=int(_text(record, f"{CONNECT}partition")),
                    offset=int(_text(record, f"{CONNECT}offset")),
                    key=record.key,
                    value=record.value,
                    headers=tuple(each for each in record.headers if not each[0].startswith(_ADDED)),
                    timestamp_ms=int(_text(record, f"{OURS}timestamp")),
                ),
                reason=Reason(_text(record, f"{OURS}reason")),
                event_id=UUID(_text(record, f"{OURS}event-id")),
                route=_text(record, f"{OURS}route"),
                workflow_id=record.header(f"{OURS}workflow-id"),
                at=datetime.fromisoformat(_text(record, f"{OURS}at")),
            )
        except ValueError as error:
            raise NotADeadLetterError(
                f"{record.coordinates} is not a dead letter of tidegate: a header does not hold what it must"
            ) from error


def _text(record: ConsumedRecord, name: str) -> str:
    value = record.header(name)
    if value is None:
        raise NotADeadLetterError(f"{record.coordinates} is not a dead letter of tidegate: no header {name}")
    return value


class DeadLetters:
    """Publishes dead letters; at least once: a crash between the letter and the ledger repeats it."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def publish(self, letter: DeadLetter) -> tuple[int, int]:
        """The partition and the offset of ``letter`` in its topic once the broker has it;
        :class:`DownstreamUnavailableError` while it cannot take it."""
        return await self._send(letter.topic, letter.record.key, letter.record.value, letter.to_headers())
