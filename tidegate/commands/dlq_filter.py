"""Which dead letters: the argument and the options that every ``tidegate dlq`` command takes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from consumers.bridge.delivery import Reason
from consumers.replay.errors import InvalidSelectionError
from consumers.replay.letters import FOREIGN, LetterFilter
from consumers.replay.moment import parse_moment
from consumers.replay.place import Place
from tidegate.event_types import event_types

_MOMENT = "ISO 8601 (UTC unless it says otherwise), or how long ago: 90s, 15m, 2h, 3d."

WhereArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[TOPIC|TOPIC:PARTITION:OFFSET]",
        help="A topic or its dead-letter topic (all of them without it), or one letter as `dlq list` shows it.",
    ),
]
PlaceArgument = Annotated[
    str, typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="A letter, as `dlq list` shows it.")
]
ReasonOption = Annotated[
    list[str] | None, typer.Option(help="Only letters with this reason; may be repeated.")
]
TypeOption = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only this event, full name or last part; may be repeated."),
]
KeyOption = Annotated[list[str] | None, typer.Option(help="Only this key; may be repeated.")]
EventOption = Annotated[
    list[UUID] | None, typer.Option("--event", help="Only the event with this id; may be repeated.")
]
FromOption = Annotated[
    str | None, typer.Option("--from-time", help=f"Only letters written then or later: {_MOMENT}")
]
ToOption = Annotated[str | None, typer.Option("--to-time", help=f"Only letters written before: {_MOMENT}")]
LimitOption = Annotated[int | None, typer.Option("--limit", min=1, help="At most so many letters.")]
RateOption = Annotated[float | None, typer.Option(min=0.01, help="Letters a second at most.")]
ExecuteOption = Annotated[
    bool, typer.Option("--execute", help="Do it; without this, say what would be done.")
]
NoteOption = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]


@dataclass(frozen=True, slots=True)
class Query:
    """The topic that was asked for (either name of it; None: all), and which of its letters."""

    topic: str | None
    letters: LetterFilter


def query(
    where: str | None,
    *,
    reasons: list[str] | None,
    types: list[str] | None,
    keys: list[str] | None,
    events: list[UUID] | None,
    from_time: str | None,
    to_time: str | None,
    undone: bool = False,
) -> Query:
    """What the words of a command line ask for; InvalidSelectionError where they cannot be."""
    known = {*(each.value for each in Reason), FOREIGN}
    if unknown := set(reasons or ()) - known:
        raise InvalidSelectionError(
            f"no dead letter has the reason {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}"
        )
    now = datetime.now(UTC)
    place = Place.parse(where) if where is not None and ":" in where else None
    letters = LetterFilter(
        reasons=frozenset(reasons or ()),
        types=event_types(types),
        keys=frozenset(keys or ()),
        events=frozenset(events or ()),
        place=place,
        from_time=parse_moment(from_time, now=now) if from_time else None,
        to_time=parse_moment(to_time, now=now) if to_time else None,
        undone=undone,
    )
    if letters.from_time and letters.to_time and letters.from_time >= letters.to_time:
        raise InvalidSelectionError(f"--from-time {from_time} is not before --to-time {to_time}")
    return Query(place.topic if place else where, letters)
