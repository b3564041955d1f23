"""Dead letters as ops see them: which there are, why, and what became of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from consumers.bridge.dead_letters import EDITED_LETTER, DeadLetter
from consumers.bridge.delivery import Outcome
from consumers.errors import NotADeadLetterError
from consumers.replay.errors import NoSuchRecordError
from consumers.replay.place import Place
from consumers.replay.record_types import TypeOf
from consumers.replay.selection import Selection, moment_text
from consumers.replay.source import RecordSource
from consumers.runtime.record import ConsumedRecord

FOREIGN: Final = "not_ours"
"""Reason shown for a record of a dead-letter topic that tidegate did not put there."""


@dataclass(frozen=True, slots=True)
class FoundLetter:
    """A record of a dead-letter topic; ``letter`` is ``None`` where tidegate did not put it there."""

    record: ConsumedRecord
    letter: DeadLetter | None
    type: str | None
    done: str | None = None
    """What came of it when it was sent back, ``edited`` or ``discarded``; ``None`` where it is still to do."""

    @property
    def redriven(self) -> bool:
        """Whether it is done with: sent back, edited or discarded."""
        return self.done is not None

    @property
    def edited_from(self) -> str | None:
        """The place of the letter that this one was made from by ``dlq edit``."""
        return self.record.header(EDITED_LETTER)

    @property
    def reason(self) -> str:
        """Why it is here."""
        return self.letter.reason.value if self.letter else FOREIGN

    def describe(self) -> dict[str, Any]:
        """One line of a list, as JSON values."""
        letter = self.letter
        return {
            "place": str(Place.of(self.record)),
            "reason": self.reason,
            "type": self.type,
            "key": text_of(self.record.key),
            "original": str(Place.of(letter.record)) if letter else None,
            "event_id": str(letter.event_id) if letter else None,
            "route": letter.route or None if letter else None,
            "at": letter.at.isoformat().replace("+00:00", "Z") if letter else None,
            "redriven": self.redriven,
            "done": self.done,
            "edited_from": self.edited_from,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterFilter:
    """Which dead letters; what is empty or ``None`` fits all. A type is a full name or its last part; times are those
    at which the letters were written (UTC), from ``from_time`` to just before ``to_time``."""

    reasons: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    events: frozenset[UUID] = frozenset()
    place: Place | None = None
    from_time: datetime | None = None
    to_time: datetime | None = None
    undone: bool = False

    def takes(self, found: FoundLetter) -> bool:
        """Whether ``found`` fits."""
        if self.undone and found.done is not None:
            return False
        if self.reasons and found.reason not in self.reasons:
            return False
        if self.types and not {found.type, (found.type or "").rpartition(".")[2]} & self.types:
            return False
        if self.events and (found.letter is None or found.letter.event_id not in self.events):
            return False
        return not self.keys or text_of(found.record.key) in self.keys

    def selection(self, topic: str) -> Selection:
        """What of it the broker can narrow down in the dead-letter topic ``topic``."""
        if self.place is None:
            return Selection(topic=topic, from_time=self.from_time, to_time=self.to_time)
        return Selection(
            topic=topic,
            partitions=frozenset({self.place.partition}),
            from_offset=self.place.offset,
            to_offset=self.place.offset + 1,
        )

    def describe(self) -> dict[str, Any]:
        """What was asked for, as JSON values, without what was not."""
        given: dict[str, Any] = {
            "reasons": sorted(self.reasons),
            "types": sorted(self.types),
            "keys": sorted(self.keys),
            "events": sorted(map(str, self.events)),
            "place": str(self.place) if self.place else None,
            "from_time": moment_text(self.from_time),
            "to_time": moment_text(self.to_time),
        }
        return {name: value for name, value in given.items() if value}


class LetterBox:
    """Reads dead-letter topics. ``done`` holds the letters that were done with, and what came of them."""

    def __init__(self, source: RecordSource, type_of: TypeOf, done: Mapping[Place, str]) -> None:
        self._source = source
        self._type_of = type_of
        self._done = done

    async def read(self, topic: str, wanted: LetterFilter) -> AsyncIterator[list[FoundLetter]]:
        """Batches of the letters in the dead-letter topic ``topic`` that fit, each partition in order."""
        async for records in self._source.read(wanted.selection(topic)):
            batch = [await self._found(record) for record in records]
            if fitting := [found for found in batch if wanted.takes(found)]:
                yield fitting

    async def one(self, place: Place) -> FoundLetter:
        """The letter at ``place``; :class:`NoSuchRecordError` when none stands there."""
        async for records in self._source.read(LetterFilter(place=place).selection(place.topic)):
            return await self._found(records[0])
        raise NoSuchRecordError(f"no record stands at {place}: `tidegate dlq list` shows what is there")

    async def _found(self, record: ConsumedRecord) -> FoundLetter:
        try:
            letter = DeadLetter.of(record)
        except NotADeadLetterError:
            letter = None
        return FoundLetter(record, letter, await self._type_of(record), self._done.get(Place.of(record)))


class LetterCounts:
    """How many letters there are of each topic, reason and type, and what became of them."""

    def __init__(self) -> None:
        self._letters: Counter[tuple[str, str, str]] = Counter()
        self._redriven: Counter[tuple[str, str, str]] = Counter()
        self._discarded: Counter[tuple[str, str, str]] = Counter()

    def add(self, found: Iterable[FoundLetter]) -> None:
        """Count some more."""
        for one in found:
            group = (one.record.topic, one.reason, one.type or "")
            self._letters[group] += 1
            self._discarded[group] += one.done == Outcome.DISCARDED
            self._redriven[group] += one.done not in (None, Outcome.DISCARDED)

    def rows(self) -> list[dict[str, Any]]:
        """One row a group, as JSON values; ``open`` are those that nobody has done anything about."""
        return [
            {
                "topic": topic,
                "reason": reason,
                "type": type_ or None,
                "letters": letters,
                "open": letters - self._redriven[group] - self._discarded[group],
                "redriven": self._redriven[group],
                "discarded": self._discarded[group],
            }
            for group, letters in sorted(self._letters.items())
            for topic, reason, type_ in [group]
        ]


def headers_of(record: ConsumedRecord) -> Sequence[tuple[str, str]]:
    """The headers for reading: text where they are text, hexadecimal where they are not."""
    return [(name, text_of(value) or "") for name, value in record.headers]


def text_of(raw: bytes | None) -> str | None:
    """``raw`` as text when it is printable UTF-8, as hexadecimal otherwise."""
    if raw is None:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return f"0x{raw.hex()}"
    return text if text.isprintable() else f"0x{raw.hex()}"
