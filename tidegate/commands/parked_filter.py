"""Which parked events: the options that every ``tidegate parked`` command takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from consumers.replay.moment import parse_moment
from consumers.replay.parked import ParkedFilter
from tidegate.event_types import event_types

WorkflowOption = Annotated[
    list[str] | None, typer.Option(help="Only what waits for this workflow id; may be repeated.")
]
TypeOption = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only this event, full name or last part; may be repeated."),
]
KeyOption = Annotated[list[str] | None, typer.Option(help="Only this key; may be repeated.")]
RouteOption = Annotated[
    list[str] | None, typer.Option(help="Only this route, as `tidegate routes` names it; may be repeated.")
]
OlderOption = Annotated[
    str | None,
    typer.Option(help="Only what was parked before: 90s, 15m, 2h, 3d ago, or an ISO 8601 time in UTC."),
]


def parked_filter(
    events: list[UUID] | None,
    workflows: list[str] | None,
    types: list[str] | None,
    keys: list[str] | None,
    routes: list[str] | None,
    older_than: str | None,
) -> ParkedFilter:
    """What the words of a command line ask for; InvalidSelectionError where they cannot be."""
    return ParkedFilter(
        events=frozenset(events or ()),
        workflows=frozenset(workflows or ()),
        types=event_types(types),
        keys=frozenset(keys or ()),
        routes=frozenset(routes or ()),
        parked_before=parse_moment(older_than, now=datetime.now(UTC)) if older_than else None,
    )
