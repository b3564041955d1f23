"""One record batch of Kafka's format 2, put together from pieces that are bytes already.

aiokafka sends it as it would send one of its own (:class:`aiokafka.producer.message_accumulator.BatchBuilder`, whose
underscored methods it calls). Its own is built record by record from Python's lists of headers, which took the relay
longer than anything else (docs/decisions/0020). aiokafka's reader is what tests hold this one against.
Source: Kafka's documentation, "Message Format", "Record Batch".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any, Final

from aiokafka import codec
from aiokafka.record.util import calc_crc32c

from outbox.varint import Varints

_HEADER: Final = struct.Struct(">qiibIhiqqqhii")
"""Base offset, length, leader's epoch, magic, CRC, attributes, last offset, first and greatest timestamp, producer's
id, epoch and first sequence number, count."""
_AFTER_LENGTH: Final = struct.calcsize(">qi")
_AFTER_CRC: Final = struct.calcsize(">qiibI")
_CRC_AT: Final = struct.calcsize(">qiib")
_TRANSACTIONAL: Final = 0x10
_CODECS: Final[dict[str, tuple[int, Callable[[Any], bytes]]]] = {
    "gzip": (1, codec.gzip_encode),
    "snappy": (2, codec.snappy_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}


class RecordBatch:
    """Records for one partition, ``limit`` bytes at most, or one record.

    ``compression`` is a codec's name, as aiokafka's producer takes it. ``varints`` may be shared by many batches.
    """

    __slots__ = (
        *(
            "_base",
            "_buffer",
            "_closed",
            "_compression",
            "_count",
            "_greatest",
            "_limit",
            "_parts",
            "_producer",
        ),
        *("_size", "_transactional", "_varints"),
    )

    def __init__(
        self, limit: int, varints: Varints, *, compression: str | None = None, transactional: bool = False
    ) -> None:
        self._limit = limit
        self._varints = varints
        self._compression = compression
        self._transactional = transactional
        self._parts: list[bytes] = [bytes(_HEADER.size)]
        self._size = _HEADER.size
        self._count = 0
        self._base = self._greatest = 0
        self._producer = (-1, -1, -1)
        self._closed = False
        self._buffer: bytearray | None = None

    def add(
        self, timestamp_ms: int, key: bytes, value: bytes, count: int, headers: tuple[bytes, bytes, bytes]
    ) -> bool:
        """Add a record, if there is room. ``key`` stands behind its length already; ``headers`` are ``count`` headers
        in three pieces."""
        varints = self._varints
        if not self._count:
            self._base = self._greatest = timestamp_ms
        head, extensions, tail = headers
        since, offset = varints[timestamp_ms - self._base], varints[self._count]
        size, many = varints[len(value)], varints[count]
        length = 1 + len(since) + len(offset) + len(key) + len(size) + len(value) + len(many)
        length += len(head) + len(extensions) + len(tail)
        framing = varints[length]
        after = self._size + len(framing) + length
        if self._count and after > self._limit:
            self._closed = True
            return False
        self._parts += (framing, b"\0", since, offset, key, size, value, many, head, extensions, tail)
        self._size = after
        self._count += 1
        if timestamp_ms > self._greatest:
            self._greatest = timestamp_ms
        return True

    # --- what aiokafka asks of a batch ----------------------------------------------------------------------

    def append(self, **_: object) -> None:
        """Nothing is added by anybody else: to aiokafka it is full."""

    def close(self) -> None:
        """Take no more."""
        self._closed = True

    def closed(self) -> bool:
        """Whether it takes no more."""
        return self._closed

    def record_count(self) -> int:
        """How many records it has."""
        return self._count

    def size(self) -> int:
        """Its bytes, before compression."""
        return self._size

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = (producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        self._closed = True
        if self._buffer is None:
            self._buffer = self._built()
            self._parts = []
        return self._buffer

    def _built(self) -> bytearray:
        buffer = bytearray().join(self._parts)
        attributes = _TRANSACTIONAL if self._transactional else 0
        if self._compression:
            number, encode = _CODECS[self._compression]
            smaller = encode(bytes(memoryview(buffer)[_HEADER.size :]))
            if len(smaller) < len(buffer) - _HEADER.size:
                buffer[_HEADER.size :] = smaller
                attributes |= number
        _HEADER.pack_into(
            buffer,
            0,
            *(0, len(buffer) - _AFTER_LENGTH, -1, 2, 0, attributes, self._count - 1),
            *(self._base, self._greatest, *self._producer, self._count),
        )
        crc = calc_crc32c(memoryview(buffer)[_AFTER_CRC:])
        struct.pack_into(">I", buffer, _CRC_AT, crc)
        return buffer
