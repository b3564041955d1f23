"""How much the bridge's benchmark measures, with which records, and what one contender did with them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid4

from schemas.codec import Codec
from schemas.envelope import Envelope
from schemas.events import PickCompleted
from tests.benchmarks.bridge.servers import Message

TOPIC: Final = PickCompleted.TOPIC
_START: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured."""

    events: int = 300_000
    slow_events: int = 8_000
    rounds: int = 3
    lane_events: int = 10_000
    workflows: int = 1_000
    signals: int = 5
    rate: int = 200
    lower_rates: tuple[int, ...] = (20, 50, 100)
    seconds: float = 15.0
    mutated: int = 20_000


QUICK: Final = Scale(30_000, 1_500, 1, 2_000, 200, 3, 200, (50,), 3.0, 2_000)


@dataclass(slots=True)
class Speeds:
    """What one contender did in its rounds."""

    per_second: list[float] = field(default_factory=list)
    per_cpu_second: list[float] = field(default_factory=list)

    def add(self, found: Mapping[str, float]) -> None:
        """One round more."""
        self.per_second.append(found["events"] / found["seconds"])
        if found.get("cpu_seconds"):
            self.per_cpu_second.append(found["events"] / found["cpu_seconds"])

    @property
    def rate(self) -> float:
        """Events a second."""
        return statistics.median(self.per_second)

    @property
    def per_core(self) -> float:
        """Events a second of CPU of the process."""
        return statistics.median(self.per_cpu_second)


def pick_reports(codec: Codec, keys: Sequence[str], count: int) -> Iterator[Message]:
    """Pick reports as the relay would publish them, the keys in turn."""
    for number in range(count):
        key = keys[number % len(keys)]
        event = PickCompleted(order_id=key, picked_at=_START + timedelta(seconds=number))
        envelope = Envelope(
            id=uuid4(),
            type=event.TYPE,
            source="/services/wms",
            subject=key,
            time=_START,
            sequence=number // len(keys) + 1,
            correlation_id=key,
        )
        yield key.encode(), codec.encode(event), envelope.to_headers()
