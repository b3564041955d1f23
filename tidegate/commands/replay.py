"""``tidegate replay``: send records of a topic through the bridge again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from consumers.replay.errors import InvalidSelectionError, StoppedError
from consumers.replay.moment import parse_moment
from consumers.replay.selection import Selection
from infra.settings import Settings
from tidegate.commands.replay_output import (
    count_progress,
    preview_as_json,
    report_as_json,
    require_whole,
    say_preview,
    say_report,
    tally_progress,
)
from tidegate.console import JsonOption, emit_json, emit_table, run, serve
from tidegate.event_types import event_types

_MOMENT = "ISO 8601 (UTC unless it says otherwise), or how long ago: 90s, 15m, 2h, 3d."


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def replay(
        topic: Annotated[str | None, typer.Argument(help="The topic to read again.")] = None,
        from_time: Annotated[
            str | None, typer.Option(help=f"Records of this time or later: {_MOMENT}")
        ] = None,
        to_time: Annotated[str | None, typer.Option(help=f"Records before this time: {_MOMENT}")] = None,
        from_offset: Annotated[
            int | None, typer.Option(help="From this offset on, in each partition.")
        ] = None,
        to_offset: Annotated[int | None, typer.Option(help="Up to this offset, which is left out.")] = None,
        partition: Annotated[
            list[int] | None, typer.Option(help="Only this partition; may be repeated.")
        ] = None,
        key: Annotated[list[str] | None, typer.Option(help="Only this key; may be repeated.")] = None,
        type_: Annotated[
            list[str] | None,
            typer.Option("--type", help="Only this event, full name or last part; may be repeated."),
        ] = None,
        execute: Annotated[
            bool, typer.Option("--execute", help="Do it; without this, say what would be done.")
        ] = False,
        rate: Annotated[float | None, typer.Option(min=0.01, help="Records a second at most.")] = None,
        history: Annotated[
            bool,
            typer.Option("--history", help="List what people did last: replays, redrives, edits, drops …"),
        ] = False,
        json: JsonOption = False,
    ) -> None:
        """Send records of a topic through the bridge again; without `--execute`, say what that would do.

        What is given narrows the selection. The ledger is asked for every record: what has had its effect has none
        now. Each run is recorded in the table `replay.runs`, also when it is stopped with Ctrl-C.

        Examples: `tidegate replay oms.orders --from-time 2h --type OrderSubmitted` ·
        `tidegate replay wms.warehouse --from-offset 0 --execute --rate 200` · `tidegate replay --history`
        """
        if history:
            _say_history(run(_history()), json)
            return
        if topic is None:
            raise InvalidSelectionError("which topic? `tidegate topics list` shows them")
        now = datetime.now(UTC)
        selection = Selection(
            topic=topic,
            partitions=frozenset(partition or ()),
            from_time=parse_moment(from_time, now=now) if from_time else None,
            to_time=parse_moment(to_time, now=now) if to_time else None,
            from_offset=from_offset,
            to_offset=to_offset,
            keys=frozenset(key or ()),
            types=event_types(type_),
        )
        if execute:
            serve(lambda stop: _execute(selection, rate, stop, json))
        else:
            serve(lambda stop: _preview(selection, stop, json))


async def _preview(selection: Selection, stop: asyncio.Event, json: bool) -> None:
    from consumers.replay.runs import as_they_are, preview, selected
    from tidegate.wiring.replay import open_resending

    async with open_resending(Settings()) as parts:
        look = parts.look
        parcels = as_they_are(selected(look.source, selection, look.type_of))
        found = await preview(parts.bridge, parcels, look.type_of, stop, count_progress())
    if stop.is_set():
        raise StoppedError(f"stopped after looking at {found.records} records; nothing was sent")
    if json:
        emit_json({"dry_run": True, "selection": selection.describe(), **preview_as_json(found)})
    else:
        say_preview(found, "tidegate replay")


async def _execute(selection: Selection, rate: float | None, stop: asyncio.Event, json: bool) -> None:
    from consumers.replay.audit import RunRequest, person
    from consumers.replay.runs import as_they_are, execute, selected
    from tidegate.wiring.replay import open_resending

    async with open_resending(Settings()) as parts:
        look = parts.look
        request = RunRequest(
            command="replay", topic=selection.topic, selection=selection.describe(), actor=person(), rate=rate
        )
        parcels = as_they_are(selected(look.source, selection, look.type_of))
        report = await execute(look.trail, parts.bridge, request, parcels, stop, progress=tally_progress())
    if json:
        emit_json({"dry_run": False, "selection": selection.describe(), **report_as_json(report)})
    else:
        say_report(report)
    require_whole(report, "records")


async def _history() -> list[dict[str, Any]]:
    from tidegate.wiring.replay import open_trail

    async with open_trail(Settings()) as trail:
        return await trail.runs(20)


def _say_history(runs: list[dict[str, Any]], json: bool) -> None:
    if json:
        emit_json({"runs": runs})
        return
    columns = ("started_at", "command", "actor", "topic", "status", "records", "outcomes", "run_id")
    rows = [{**each, "started_at": each["started_at"].isoformat(timespec="seconds")} for each in runs]
    emit_table("What people did, the newest first", rows, columns)
