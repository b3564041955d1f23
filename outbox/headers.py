"""The headers of an outbox row, as :meth:`schemas.envelope.Envelope.to_headers` writes them, without the
envelope.

The relay writes tens of thousands of records a second, and most of a header is the same in each of them. A
test holds the two ways equal (tests/property/test_outbox_headers.py).
"""

from __future__ import annotations

import json
from typing import Final, TypeAlias

from schemas.envelope import CONTENT_TYPE

Headers: TypeAlias = list[tuple[str, bytes]]

_SPECVERSION: Final = ("ce_specversion", b"1.0")
_CONTENT_TYPE: Final = ("content-type", CONTENT_TYPE.encode())
_MOST: Final = 4096


class HeaderWriter:
    """Builds headers, and remembers the parts that repeat (at most 4,096 of each)."""

    def __init__(self) -> None:
        self._origins: dict[tuple[str, str], Headers] = {}
        self._extensions: dict[str, Headers] = {"{}": []}

    def write(
        self,
        event_id: bytes,
        source: str,
        type_: str,
        time: bytes,
        subject: bytes | None,
        sequence: bytes | None,
        correlation_id: bytes | None,
        causation_id: bytes | None,
        extensions: str,
        traceparent: bytes | None,
    ) -> Headers:
        """The headers, from the columns as the window's queries return them."""
        origin = self._origins.get((source, type_)) or self._learn_origin(source, type_)
        headers = [_SPECVERSION, ("ce_id", event_id), *origin, ("ce_time", time)]
        if subject is not None:
            headers.append(("ce_subject", subject))
        if sequence is not None:
            headers.append(("ce_sequence", sequence))
        if correlation_id is not None:
            headers.append(("ce_correlationid", correlation_id))
        if causation_id is not None:
            headers.append(("ce_causationid", causation_id))
        known = self._extensions.get(extensions)
        headers += self._learn_extensions(extensions) if known is None else known
        headers.append(_CONTENT_TYPE)
        if traceparent is not None:
            headers.append(("traceparent", traceparent))
        headers.append(("id", event_id))
        return headers

    def _learn_origin(self, source: str, type_: str) -> Headers:
        if len(self._origins) >= _MOST:
            self._origins.clear()
        learned = self._origins[source, type_] = [("ce_source", source.encode()), ("ce_type", type_.encode())]
        return learned

    def _learn_extensions(self, text: str) -> Headers:
        if len(self._extensions) >= _MOST:
            self._extensions.clear()
        pairs = sorted(json.loads(text).items())
        learned = self._extensions[text] = [(f"ce_{name}", str(value).encode()) for name, value in pairs]
        return learned
