"""One event as it was read from a topic, or as a person has written it down: what an explanation begins with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

from consumers.bridge.delivery import Reason
from consumers.bridge.reading import PoisonedError, RecordReader
from consumers.bridge.table import RoutingTable
from consumers.errors import UnusableEventError
from consumers.runtime.record import ConsumedRecord
from schemas.envelope import is_extension
from schemas.errors import PersonalDataError
from schemas.event import Event
from schemas.privacy import require_references

_CONTEXT: Final = frozenset(
    {"specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", "data"}
)
"""Members of a CloudEvent in JSON that are no extensions."""


@dataclass(frozen=True, slots=True)
class StatedEvent:
    """What is known of one event before any route is asked.

    ``event_id`` is None where nobody gave one, ``type`` where nothing names one. ``problem`` says why the bridge could
    deliver it on no route; then ``event`` is None. Without a problem it is None where no route wants it: then nobody
    decodes it.
    """

    place: str
    event_id: UUID | None
    type: str | None
    extensions: Mapping[str, str]
    headers: tuple[tuple[str, str], ...]
    event: Event | None = None
    problem: Reason | None = None


async def stated_in_record(record: ConsumedRecord, reader: RecordReader, table: RoutingTable) -> StatedEvent:
    """What the bridge reads in ``record``, up to the point at which it would go on to the routes.

    Raises :class:`~consumers.errors.DownstreamUnavailableError` while the registry cannot be asked.
    """
    headers = tuple((name, value.decode("utf-8", "replace")) for name, value in record.headers)
    named = table.unrouted(record.headers)
    found = StatedEvent(record.coordinates, reader.event_id(record), named, {}, headers)
    if named is not None:
        return found
    try:
        envelope = await reader.envelope(record)
        found = replace(found, type=envelope.type, extensions=envelope.extensions)
        if not table.knows(envelope.type):
            return replace(found, problem=Reason.UNKNOWN_TYPE)
        if not table.wanting(envelope):
            return found
        if not record.key:
            return replace(found, problem=Reason.MISSING_KEY)
        event = await reader.event(record, envelope)
        reader.argument(event, envelope)
    except PoisonedError as poison:
        return replace(found, problem=poison.reason)
    return replace(found, event=event)


def stated_in_json(text: str, place: str, events: Iterable[type[Event]]) -> StatedEvent:
    """An event written as JSON, as a CloudEvent or shorter; ``place`` names it in errors.

    A CloudEvent has its fields in ``data`` and its extensions beside ``type`` (CloudEvents 1.0.2, JSON format). The
    shorter form has ``type``, perhaps ``id`` and ``extensions``, and the fields beside them. A type is a full name or
    its last part. Raises :class:`UnusableEventError`, which says in one sentence what is wrong.
    """
    stated = _members(text, place)
    kind = _kind(stated.get("type"), place, events)
    if "data" in stated:
        fields = stated["data"]
        extensions = {name: value for name, value in stated.items() if name not in _CONTEXT}
        extensions |= _mapping(extensions.pop("extensions", {}), "extensions", place)
    else:
        fields = {name: value for name, value in stated.items() if name not in ("type", "id", "extensions")}
        extensions = _mapping(stated.get("extensions", {}), "extensions", place)
    for name, value in extensions.items():
        if not is_extension(name) or not isinstance(value, str):
            raise UnusableEventError(
                f"{place}: {name!r} is no extension: a name of lower-case letters and digits, and a text"
            )
    event_id = _id(stated.get("id"), place)
    try:
        event = kind.from_json(_mapping(fields, "data", place))
    except (ValueError, TypeError, KeyError) as error:
        raise UnusableEventError(f"{place} is no {kind.TYPE}: {error}") from error
    headers = tuple((f"ce_{name}", value) for name, value in sorted(extensions.items()))
    found = StatedEvent(place, event_id, kind.TYPE, extensions, headers)
    try:
        require_references(event)
    except PersonalDataError:
        return replace(found, problem=Reason.PERSONAL_DATA)
    return replace(found, event=event) if event.key else replace(found, problem=Reason.MISSING_KEY)


def _members(text: str, place: str) -> dict[str, Any]:
    try:
        stated = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableEventError(f"{place} holds no JSON: {error}") from error
    return _mapping(stated, "the event", place)


def _mapping(value: Any, what: str, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise UnusableEventError(f"{place}: {what} must be a JSON object, not {type(value).__name__}")
    return value


def _kind(name: Any, place: str, events: Iterable[type[Event]]) -> type[Event]:
    for event in events:
        if name in (event.TYPE, event.TYPE.rpartition(".")[2]):
            return event
    raise UnusableEventError(
        f"{place}: no event is called {name!r}; `tidegate schemas list` shows them"
        if name is not None
        else f"{place} does not say which event it is: give it a member `type`"
    )


def _id(value: Any, place: str) -> UUID | None:
    if value is None:
        return None
    try:
        return UUID(value)
    except (ValueError, TypeError, AttributeError) as error:
        raise UnusableEventError(f"{place}: the id {value!r:.60} is no UUID") from error
