"""A dead letter mended by a person: another payload under the same identity, and the letter that holds it.

What was sent stays in the dead-letter topic as it is. The mended record is a letter of its own beside it, which says
in its headers who made it, when, and from which letter; its event id, its other headers and the coordinates of the
original record are those of the letter that it was made from. So it is redriven like any other, counts as the same
event, and is lost with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from consumers.bridge.dead_letters import EDITED, EDITED_LETTER, DeadLetter
from consumers.bridge.reading import RecordReader
from consumers.replay.contents import payload_of
from consumers.replay.errors import InvalidEditError
from consumers.replay.fields import Assignment, assign, flattened
from consumers.replay.letters import FoundLetter, text_of
from consumers.replay.place import Place
from consumers.runtime.record import ConsumedRecord
from schemas.codec import Codec
from schemas.errors import EncodeError
from schemas.event import Event
from schemas.events import EVENTS
from schemas.lookup import SchemaLookup
from schemas.primitives import JSON
from schemas.privacy import require_references


@dataclass(frozen=True, slots=True)
class Draft:
    """What a person begins with: the event's type, and its fields, which are all there only if it is ``whole``."""

    event: type[Event]
    fields: Mapping[str, JSON]
    whole: bool
    fault: str | None


@dataclass(frozen=True, slots=True)
class Change:
    """A field (or ``key``, or ``header …``) and what it was and is; None where it is not there."""

    field: str
    before: JSON
    after: JSON


@dataclass(frozen=True, slots=True)
class Mended:
    """The letter that holds the mended record, and what is different."""

    letter: DeadLetter
    event: Event
    changes: Sequence[Change]


async def draft_of(found: FoundLetter, codec: Codec, lookup: SchemaLookup, type_: str | None) -> Draft:
    """What can be read of ``found``, as an event of ``type_`` (full name or last part), or of the type it claims.

    Raises :class:`InvalidEditError` where the type is not known, or the headers say another than the value is.
    """
    contents = await payload_of(found.record, codec, lookup)
    decoded = await lookup.type_of(found.record.value) if "unreadable" not in contents else None
    claimed = found.record.header("ce_type")
    if type_ is None and decoded and claimed and decoded != claimed:
        raise InvalidEditError(
            f"the headers of {Place.of(found.record)} say {claimed} and its value is a {decoded}: "
            "say which it is to be with --type"
        )
    event = _event_type(type_ or decoded or claimed, Place.of(found.record))
    if decoded == event.TYPE:
        return Draft(event, contents["payload"], whole=True, fault=None)
    fields = contents.get("partial", {}) if decoded is None else {}
    return Draft(event, fields, whole=False, fault=contents.get("fault") or contents.get("unreadable"))


def mend(
    found: FoundLetter,
    draft: Draft,
    fields: Mapping[str, Any] | None,
    assignments: Sequence[Assignment],
    headers: Mapping[str, str],
    *,
    codec: Codec,
    reader: RecordReader,
    actor: str,
    now: datetime,
) -> Mended:
    """``found`` with ``fields`` (all of them; None: those of a draft that is whole), then ``assignments``, then
    ``headers`` (empty: without it).

    Raises :class:`InvalidEditError` where that is no event, or where it changes nothing.
    """
    letter = found.letter
    if letter is None:
        raise InvalidEditError(f"{Place.of(found.record)} was not put there by tidegate: nothing to redrive")
    if fields is None and not draft.whole:
        fields = {}
    told = assign(dict(draft.fields if fields is None else fields), assignments, draft.event, codec)
    event, value = _encoded(draft, told, codec)
    own = _headers(letter.record, event, headers, found.record, actor, now)
    record = replace(letter.record, key=event.key.encode(), value=value, headers=own)
    if reader.event_id(record) != letter.event_id:
        record = replace(record, headers=_with(record.headers, {"ce_id": str(letter.event_id)}))
    before = flattened(draft.fields)
    after = flattened(event.to_json())
    changes = [
        Change(name, before.get(name), after.get(name))
        for name in [*after, *(name for name in before if name not in after)]
        if name not in before or name not in after or before[name] != after[name]
    ]
    if not draft.whole:
        changes.append(Change("value", draft.fault, f"{event.TYPE}, {len(value)} bytes"))
    changes += _around(letter.record, record)
    if not changes:
        raise InvalidEditError(
            f"that changes nothing: `tidegate dlq redrive {Place.of(found.record)}` sends it as it is"
        )
    return Mended(replace(letter, record=record), event, changes)


def _event_type(name: str | None, place: Place) -> type[Event]:
    for event in EVENTS:
        if name is not None and name in {event.TYPE, event.__name__}:
            return event
    raise InvalidEditError(
        f"{place} names no type of the catalog{f' ({name})' if name else ''}: say with --type which event it is to be"
    )


def _encoded(draft: Draft, told: Mapping[str, Any], codec: Codec) -> tuple[Event, bytes]:
    name = draft.event.__name__
    try:
        event = draft.event.from_json(told)
        require_references(event)
        return event, codec.encode(event)
    except EncodeError as error:
        raise InvalidEditError(f"that is no {name}: {error}") from error
    except (ValueError, TypeError, OverflowError) as error:
        hint = "" if draft.whole else "; what was sent cannot be read, so every field must be given"
        raise InvalidEditError(f"that is no {name}: {error}{hint}") from error


def _headers(
    original: ConsumedRecord,
    event: Event,
    wanted: Mapping[str, str],
    taken_from: ConsumedRecord,
    actor: str,
    now: datetime,
) -> tuple[tuple[str, bytes], ...]:
    if unfit := [name for name in wanted if name in {"ce_id", "id"} or name.startswith(EDITED)]:
        raise InvalidEditError(f"the header {unfit[0]} stays: an edited event is the same event")
    kept = tuple(header for header in original.headers if not header[0].startswith(EDITED))
    named = {"ce_type": event.TYPE} if original.header("ce_type") != event.TYPE else {}
    return _with(
        kept,
        {
            **named,
            **wanted,
            f"{EDITED}by": actor,
            f"{EDITED}at": now.astimezone(UTC).isoformat(),
            EDITED_LETTER: str(Place.of(taken_from)),
        },
    )


def _with(headers: Sequence[tuple[str, bytes]], told: Mapping[str, str]) -> tuple[tuple[str, bytes], ...]:
    kept = [header for header in headers if header[0] not in told]
    return (*kept, *((name, text.encode()) for name, text in told.items() if text))


def _around(before: ConsumedRecord, after: ConsumedRecord) -> list[Change]:
    """What is different of key and headers, the marks of the edit left out."""
    changes = [Change("key", text_of(before.key), text_of(after.key))] if before.key != after.key else []
    was, is_ = dict(before.headers), dict(after.headers)
    return changes + [
        Change(f"header {name}", text_of(was.get(name)), text_of(is_.get(name)))
        for name in dict.fromkeys([*was, *is_])
        if not name.startswith(EDITED) and was.get(name) != is_.get(name)
    ]
