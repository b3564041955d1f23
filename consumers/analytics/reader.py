"""From a Kafka record to an order event, or to the reason why it is none."""

from __future__ import annotations

from consumers.analytics.sink import ReceivedEvent, UnreadableRecord
from consumers.bridge.reading import PoisonedError, RecordReader
from consumers.runtime.record import ConsumedRecord


class OrderEventReader:
    """Reads records of the order topics, as the bridge does: the two never disagree on what an event is."""

    def __init__(self, reader: RecordReader) -> None:
        self._reader = reader

    async def read(self, record: ConsumedRecord) -> ReceivedEvent | UnreadableRecord:
        """What ``record`` says, or why it says nothing.

        Raises :class:`~consumers.errors.DownstreamUnavailableError` while the registry is needed and does not
        answer: that is no fault of the record.
        """
        try:
            envelope = await self._reader.envelope(record)
            event = await self._reader.event(record, envelope)
        except PoisonedError as poison:
            return UnreadableRecord(record, f"{poison.reason.value}: {poison.reason.sentence}")
        return ReceivedEvent(event, envelope, record)
