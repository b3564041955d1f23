"""``tidegate parked release``, ``drop`` and ``extend``: what is done about events that wait, one or many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from consumers.replay.errors import InvalidSelectionError
from consumers.replay.moment import parse_moment
from infra.settings import Settings
from tidegate.commands.parked_filter import (
    KeyOption,
    OlderOption,
    RouteOption,
    TypeOption,
    WorkflowOption,
    parked_filter,
)
from tidegate.commands.replay_output import report_as_json, require_whole, say_report, tally_progress
from tidegate.console import JsonOption, emit_json, emit_table, say, serve

if TYPE_CHECKING:
    from consumers.replay.audit import Command, RunRequest
    from consumers.replay.parked import ParkedDesk, ParkedFilter, Waiting
    from consumers.replay.runs import RunReport

EventsArgument = Annotated[
    list[UUID] | None, typer.Argument(metavar="EVENT_ID", help="As `parked list` shows them.")
]
AllOption = Annotated[bool, typer.Option("--all", help="Everything that waits.")]
ExecuteOption = Annotated[
    bool, typer.Option("--execute", help="Do it; without this, say what would be done.")
]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many events, the oldest.")
]
RateOption = Annotated[float | None, typer.Option(min=0.01, help="So many a second at most.")]
NoteOption = Annotated[str | None, typer.Option(help="Why, for the audit trail.")]


def register(parked: typer.Typer) -> None:
    """Add the commands."""
    _add_release(parked)
    _add_drop(parked)
    _add_extend(parked)


def _add_release(parked: typer.Typer) -> None:
    @parked.command()
    def release(
        event_id: EventsArgument = None,
        workflow: WorkflowOption = None,
        type_: TypeOption = None,
        key: KeyOption = None,
        route: RouteOption = None,
        older_than: OlderOption = None,
        all_: AllOption = False,
        execute: ExecuteOption = False,
        limit: LimitOption = None,
        rate: RateOption = None,
        note: NoteOption = None,
        json: JsonOption = False,
    ) -> None:
        """Try now to deliver events that wait; without `--execute`, say what that would do.

        The order of a workflow is kept: what waits before a released event goes first, and is released with it. An
        event whose workflow is still not there goes on waiting; one past its deadline becomes a dead letter.
        `--rate` counts workflows.

        Example: `tidegate parked release --workflow order-fulfillment-8d0f… --execute`
        """
        wanted = parked_filter(event_id, workflow, type_, key, route, older_than)
        asked = _Asked("release", wanted, all_, execute, limit, rate, note, json)
        serve(lambda stop: _release(asked, stop))


def _add_drop(parked: typer.Typer) -> None:
    @parked.command()
    def drop(
        event_id: EventsArgument = None,
        workflow: WorkflowOption = None,
        type_: TypeOption = None,
        key: KeyOption = None,
        route: RouteOption = None,
        older_than: OlderOption = None,
        all_: AllOption = False,
        execute: ExecuteOption = False,
        limit: LimitOption = None,
        rate: RateOption = None,
        note: NoteOption = None,
        json: JsonOption = False,
    ) -> None:
        """Give up events that wait; without `--execute`, say which.

        The ledger says `discarded`: no replay delivers them, and there is no way back. Those that wait behind one move
        up and are delivered without it, in their order, once their workflow is there (`behind` says how many).

        Example: `tidegate parked drop --type PickCompleted --older-than 3d --note "test orders" --execute`
        """
        wanted = parked_filter(event_id, workflow, type_, key, route, older_than)
        asked = _Asked("drop", wanted, all_, execute, limit, rate, note, json)

        async def drop_all(
            desk: ParkedDesk, request: RunRequest, events: Sequence[Waiting], stop: asyncio.Event
        ) -> RunReport:
            return await desk.drop(request, events, stop, tally_progress())

        serve(lambda stop: _change(asked, stop, drop_all, "would be given up"))


def _add_extend(parked: typer.Typer) -> None:
    @parked.command()
    def extend(
        event_id: EventsArgument = None,
        by: Annotated[str, typer.Option(help="So much more time: 15m, 2h, 3d.")] = "24h",
        workflow: WorkflowOption = None,
        type_: TypeOption = None,
        key: KeyOption = None,
        route: RouteOption = None,
        older_than: OlderOption = None,
        all_: AllOption = False,
        execute: ExecuteOption = False,
        limit: LimitOption = None,
        note: NoteOption = None,
        json: JsonOption = False,
    ) -> None:
        """Give events that wait more time, from their deadline or from now, whichever is later.

        Example: `tidegate parked extend --workflow order-fulfillment-8d0f… --by 2h --execute`
        """
        now = datetime.now(UTC)
        longer = now - parse_moment(by, now=now)
        if longer <= timedelta():
            raise InvalidSelectionError(f"--by {by} is no length of time: write 15m, 2h or 3d")
        wanted = parked_filter(event_id, workflow, type_, key, route, older_than)
        asked = _Asked("extend", wanted, all_, execute, limit, None, note, json)

        async def extend_all(
            desk: ParkedDesk, request: RunRequest, events: Sequence[Waiting], stop: asyncio.Event
        ) -> RunReport:
            return await desk.extend(request, events, longer, stop, tally_progress())

        serve(lambda stop: _change(asked, stop, extend_all, f"would have {by} more"))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A command as it was given."""

    command: Command
    wanted: ParkedFilter
    all: bool
    execute: bool
    limit: int | None
    rate: float | None
    note: str | None
    json: bool

    def __post_init__(self) -> None:
        if self.wanted.is_empty and not self.all:
            raise InvalidSelectionError("which events? name them, narrow them with an option, or say --all")

    def request(self) -> RunRequest:
        from consumers.replay.audit import RunRequest, person

        told = {"limit": self.limit, "note": self.note}
        return RunRequest(
            command=self.command,
            topic="bridge.parked",
            selection={**self.wanted.describe(), **{name: value for name, value in told.items() if value}},
            actor=person(),
            rate=self.rate,
        )


_Act = Callable[["ParkedDesk", "RunRequest", "Sequence[Waiting]", asyncio.Event], Awaitable["RunReport"]]


async def _change(asked: _Asked, stop: asyncio.Event, act: _Act, would: str) -> None:
    from tidegate.wiring.parked import open_desk

    async with open_desk(Settings()) as desk:
        events = await desk.find(asked.wanted, asked.limit)
        if asked.execute:
            _tell(asked, await act(desk, asked.request(), events, stop))
            return
    rows = [each.describe() for each in events]
    if asked.json:
        emit_json({"dry_run": True, "events": len(rows), "parked": rows})
        return
    emit_table(
        f"{len(rows)} events {would} (dry run: nothing was done)",
        rows,
        ("event", "workflow_id", "parked_at", "deadline", "ahead", "behind", "event_id"),
    )
    _say_how(rows)


async def _release(asked: _Asked, stop: asyncio.Event) -> None:
    from consumers.replay.parked import queues_of
    from tidegate.wiring.parked import open_releasing

    async with open_releasing(Settings()) as parts:
        queues = queues_of(await parts.desk.find(asked.wanted, asked.limit))
        if asked.execute:
            unparker = parts.bridge.unparker
            _tell(asked, await parts.desk.release(asked.request(), queues, unparker, stop, tally_progress()))
            return
        rows = [await parts.would(queue) for queue in queues]
    if asked.json:
        emit_json({"dry_run": True, "events": sum(row["selected"] for row in rows), "workflows": rows})
        return
    emit_table(
        "What would be done (dry run: nothing was sent)",
        rows,
        ("workflow_id", "workflow", "selected", "ahead", "would"),
    )
    _say_how(rows)


def _tell(asked: _Asked, report: RunReport) -> None:
    if asked.json:
        emit_json({"dry_run": False, **report_as_json(report)})
    else:
        say_report(report)
    require_whole(report, "events")


def _say_how(rows: Sequence[Any]) -> None:
    say("to do it: the same command with --execute" if rows else "nothing that fits is parked")
