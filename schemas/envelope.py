"""The headers of a record: CloudEvents 1.0 in binary mode, and what is assumed when a producer sends less.

Sources: design §4, "Headers"; CloudEvents 1.0.2, Kafka protocol binding; its extensions "sequence" and
"distributed tracing"; W3C trace context.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from infra.ids import derived_id
from schemas.errors import DecodeError
from schemas.primitives import instant_of, instant_text

CONTENT_TYPE: Final = "application/avro"
SEQUENCE_DIGITS: Final = 20
"""CloudEvents compares sequences as text, so they are padded with zeros to one width."""

_CORE: Final = frozenset(
    f"ce_{name}"
    for name in (
        *("specversion", "id", "source", "type", "time", "subject", "sequence"),
        *("correlationid", "causationid", "datacontenttype"),
    )
)
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.*")
_EXTENSION: Final = re.compile(r"[a-z0-9]{1,20}")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Headers = Iterable[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Envelope:
    """What is known of an event without decoding it."""

    id: UUID
    """The event's identity: the same id is the same event, however often it is delivered."""
    type: str
    """Full name of its Avro record."""
    source: str
    """Who published it, such as ``/services/oms``."""
    subject: str | None
    """The aggregate within the source."""
    time: datetime
    """When it happened, UTC."""
    sequence: int | None = None
    """The aggregate's version per source and subject."""
    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)
    """Further attributes without their ``ce_``: the header ``ce_flow`` is ``extensions["flow"]``."""

    def to_headers(self) -> list[tuple[str, bytes]]:
        """The headers of the record, in one order for the same envelope."""
        identity = str(self.id)
        headers = [
            ("ce_specversion", "1.0"),
            ("ce_id", identity),
            ("ce_source", self.source),
            ("ce_type", self.type),
            ("ce_time", instant_text(self.time)),
        ]
        if self.subject is not None:
            headers.append(("ce_subject", self.subject))
        if self.sequence is not None:
            headers.append(("ce_sequence", f"{self.sequence:0{SEQUENCE_DIGITS}d}"))
        if self.correlation_id is not None:
            headers.append(("ce_correlationid", self.correlation_id))
        if self.causation_id is not None:
            headers.append(("ce_causationid", self.causation_id))
        headers += [(f"ce_{name}", value) for name, value in sorted(self.extensions.items())]
        headers.append(("content-type", CONTENT_TYPE))
        if self.traceparent is not None:
            headers.append(("traceparent", self.traceparent))
        headers.append(("id", identity))
        return [(name, value.encode()) for name, value in headers]

    @classmethod
    def of(
        cls,
        headers: Headers,
        *,
        value: bytes | None,
        codec_type_of: Callable[[bytes | None], str],
        cluster_id: str,
        topic: str,
        partition: int,
        offset: int,
        timestamp_ms: int,
    ) -> Envelope:
        """The envelope of a record, with the rules for foreign producers.

        Without ``ce_type``, the type is the record's full name by its schema id (``codec_type_of``). Without
        ``ce_id``, the id is derived from cluster, topic, partition and offset, so that every reader finds the
        same one; an id that is no UUID becomes one, derived from source and id. Without ``ce_time``, the
        record's timestamp counts. What else is missing or malformed is None. Of a header that is given
        twice the last one counts.

        Raises DecodeError when neither the headers nor the bytes name a type.
        """
        found: dict[str, str] = {}
        trace: bytes | None = None
        for name, raw in headers:
            if name.startswith("ce_") and raw:
                try:
                    found[name] = raw.decode()
                except UnicodeDecodeError as error:
                    place = f"{topic}[{partition}]@{offset}"
                    raise DecodeError(f"{place}: the header {name:.40} is not UTF-8") from error
            elif name == "traceparent":
                trace = raw
        given = found.get
        source = given("ce_source")
        return cls(
            id=_identity(given("ce_id"), source, (cluster_id, topic, partition, offset)),
            type=given("ce_type") or codec_type_of(value),
            source=source or f"/kafka/{cluster_id}/{topic}",
            subject=given("ce_subject"),
            time=_time(given("ce_time")) or _EPOCH + timedelta(milliseconds=max(0, timestamp_ms)),
            sequence=_sequence(given("ce_sequence")),
            correlation_id=given("ce_correlationid"),
            causation_id=given("ce_causationid"),
            traceparent=_traceparent(trace),
            extensions={
                name[3:]: text
                for name, text in found.items()
                if name not in _CORE and _EXTENSION.fullmatch(name[3:])
            },
        )


def is_extension(name: str) -> bool:
    """Whether :attr:`Envelope.extensions` can have a member of this name."""
    return f"ce_{name}" not in _CORE and _EXTENSION.fullmatch(name) is not None


def _identity(given: str | None, source: str | None, place: tuple[str, str, int, int]) -> UUID:
    if given is None:
        return derived_id("foreign", *place)
    try:
        return UUID(given)
    except ValueError:
        return derived_id("foreign-id", source or place[1], given)


def _time(given: str | None) -> datetime | None:
    try:
        return instant_of(given) if given else None
    except (ValueError, OverflowError):
        return None


def _sequence(given: str | None) -> int | None:
    return (
        int(given)
        if given and given.isascii() and given.isdigit() and len(given) <= SEQUENCE_DIGITS
        else None
    )


def _traceparent(given: bytes | None) -> str | None:
    return given.decode("ascii", "ignore") if given and _TRACEPARENT.fullmatch(given) else None
