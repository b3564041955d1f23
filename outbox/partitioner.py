"""Which partition a key belongs to: murmur2, as the Java client and aiokafka compute it.

Source: design §4, "Headers" ("Partitioner everywhere: murmur2"); org.apache.kafka.common.utils.Utils.murmur2.
"""

from __future__ import annotations

from struct import unpack_from
from typing import Final

from outbox.varint import framed

_MASK: Final = 0xFFFFFFFF
_MULTIPLIER: Final = 0x5BD1E995


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 of ``data`` with Kafka's seed, unsigned."""
    length = len(data)
    words = length >> 2
    hashed = 0x9747B28C ^ length
    for word in unpack_from(f"<{words}I", data):
        mixed = (word * _MULTIPLIER) & _MASK
        mixed = ((mixed ^ (mixed >> 24)) * _MULTIPLIER) & _MASK
        hashed = ((hashed * _MULTIPLIER) & _MASK) ^ mixed
    if tail := data[words << 2 :]:
        hashed = ((hashed ^ int.from_bytes(tail, "little")) * _MULTIPLIER) & _MASK
    hashed = ((hashed ^ (hashed >> 13)) * _MULTIPLIER) & _MASK
    return hashed ^ (hashed >> 15)


class Partitioner:
    """Partitions of keys; remembers the last 50,000 keys or so."""

    def __init__(self) -> None:
        self._hashes: dict[str, tuple[bytes, int]] = {}

    def locate(self, key: str) -> tuple[bytes, int]:
        """``key`` as a record carries it, and its positive hash; the partition is the hash modulo their number."""
        known = self._hashes.get(key)
        if known is None:
            if len(self._hashes) >= 50_000:
                self._hashes.clear()
            data = key.encode()
            known = self._hashes[key] = (framed(data), murmur2(data) & 0x7FFFFFFF)
        return known
