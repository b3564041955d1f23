"""Kafka's variable-length integers: the sign in the lowest bit, seven bits a byte, the lowest first.

Source: Kafka's protocol guide, "Protocol Primitive Types", VARINT; org.apache.kafka.common.utils.ByteUtils.
"""

from __future__ import annotations

from typing import Final

_REMEMBERED: Final = 65_536


def varint(number: int) -> bytes:
    """``number`` as a VARINT, or a VARLONG, which is written alike."""
    left = number << 1 if number >= 0 else (-number << 1) - 1
    written = bytearray()
    while left > 127:
        written.append(left & 127 | 128)
        left >>= 7
    written.append(left)
    return bytes(written)


def framed(data: bytes) -> bytes:
    """``data`` behind its length."""
    return varint(len(data)) + data


class Varints(dict[int, bytes]):
    """``varints[number]`` is :func:`varint` of it; remembers the first 65,536."""

    def __missing__(self, number: int) -> bytes:
        """Work one out."""
        written = varint(number)
        if len(self) < _REMEMBERED:
            self[number] = written
        return written


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at ``data[at]``, and where it ends."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number >> 1 ^ -(number & 1), at
        shift += 7
