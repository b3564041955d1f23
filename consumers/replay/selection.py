"""Which records of a topic a replay takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from consumers.replay.errors import InvalidSelectionError
from consumers.runtime.record import ConsumedRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Records of ``topic`` that fit everything that is given; what is empty or ``None`` fits all.

    Times are the records' own (UTC), offsets count within each partition; both begin at ``from_…`` and end just
    before ``to_…``. A type is a full name (``tidegate.oms.orders.OrderSubmitted``) or its last part.
    """

    topic: str
    partitions: frozenset[int] = frozenset()
    from_time: datetime | None = None
    to_time: datetime | None = None
    from_offset: int | None = None
    to_offset: int | None = None
    keys: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if self.from_time and self.to_time and self.from_time >= self.to_time:
            raise InvalidSelectionError(
                f"--from-time {self.from_time} is not before --to-time {self.to_time}"
            )
        if self.from_offset is not None and self.to_offset is not None and self.from_offset >= self.to_offset:
            raise InvalidSelectionError(
                f"--from-offset {self.from_offset} is not below --to-offset {self.to_offset}"
            )
        if any(number < 0 for number in (self.from_offset or 0, self.to_offset or 0, *self.partitions)):
            raise InvalidSelectionError("offsets and partitions are not negative")

    def takes(self, record: ConsumedRecord) -> bool:
        """Whether ``record`` fits by time and key; its type is asked for with :meth:`takes_type`."""
        if self.from_time is not None and record.timestamp_ms < milliseconds(self.from_time):
            return False
        if self.to_time is not None and record.timestamp_ms >= milliseconds(self.to_time):
            return False
        return not self.keys or (record.key or b"").decode("utf-8", "replace") in self.keys

    def takes_type(self, full_name: str | None) -> bool:
        """Whether a record of the type ``full_name`` fits; ``None`` is a record that names none."""
        if not self.types:
            return True
        return full_name is not None and (
            full_name in self.types or full_name.rpartition(".")[2] in self.types
        )

    def describe(self) -> dict[str, Any]:
        """What was selected, as JSON values, without what was not given: for the audit table and for people."""
        given: dict[str, Any] = {
            "topic": self.topic,
            "partitions": sorted(self.partitions),
            "from_time": moment_text(self.from_time),
            "to_time": moment_text(self.to_time),
            "from_offset": self.from_offset,
            "to_offset": self.to_offset,
            "keys": sorted(self.keys),
            "types": sorted(self.types),
        }
        return {name: value for name, value in given.items() if value not in (None, [])}


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 UTC, as Kafka counts them, rounded up so that a bound takes nothing before it."""
    microseconds = round(moment.timestamp() * 1_000_000)
    return -(-microseconds // 1000)


def moment_text(moment: datetime | None) -> str | None:
    """``moment`` as JSON text in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None
