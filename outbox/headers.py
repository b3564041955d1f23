"""The headers of an outbox row, as :meth:`schemas.envelope.Envelope.to_headers` writes them, in the form that
records have.

PostgreSQL writes most of them (``columns.sql``); the extensions, which are JSON there, are written here, and
remembered, because few differ.
"""

from __future__ import annotations

import json
from typing import Final, TypeAlias

import asyncpg

from outbox.varint import framed, read_varint

Headers: TypeAlias = list[tuple[str, bytes]]

_MOST: Final = 4096


class ExtensionHeaders(dict[str, tuple[int, bytes]]):
    """``extensions[text]``, of a JSON object: how many headers it makes, and their bytes. Remembers 4,096 at most."""

    def __missing__(self, text: str) -> tuple[int, bytes]:
        """Write those of a new object, by the names of its members."""
        if len(self) >= _MOST:
            self.clear()
        pairs = sorted(json.loads(text).items())
        written = b"".join(
            framed(f"ce_{name}".encode()) + framed(str(value).encode()) for name, value in pairs
        )
        self[text] = len(pairs), written
        return self[text]


def headers_of(row: asyncpg.Record) -> Headers:
    """The headers of the record that ``row`` becomes, in their order."""
    data = row["head"] + ExtensionHeaders()[row["extensions"]][1] + row["tail"]
    headers: Headers = []
    at = 0
    while at < len(data):
        name, at = _piece(data, at)
        value, at = _piece(data, at)
        headers.append((name.decode(), value))
    return headers


def _piece(data: bytes, at: int) -> tuple[bytes, int]:
    size, begins = read_varint(data, at)
    return data[begins : begins + size], begins + size
