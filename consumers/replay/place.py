"""Where a record stands, as people write it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from consumers.replay.errors import InvalidSelectionError
from consumers.runtime.record import ConsumedRecord

_PLACE: Final = re.compile(r"(?P<topic>.+):(?P<partition>\d{1,9}):(?P<offset>\d{1,18})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record stands."""

    topic: str
    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> Place:
        """``TOPIC:PARTITION:OFFSET``; :class:`InvalidSelectionError` for anything else."""
        found = _PLACE.fullmatch(text)
        if found is None:
            raise InvalidSelectionError(f"{text!r} is no place: write TOPIC:PARTITION:OFFSET")
        return cls(found["topic"], int(found["partition"]), int(found["offset"]))

    @classmethod
    def of(cls, record: ConsumedRecord) -> Place:
        """Where ``record`` stands."""
        return cls(record.topic, record.partition, record.offset)

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"
