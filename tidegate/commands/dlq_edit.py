"""``tidegate dlq edit``: another payload for a dead letter, and off it goes."""

from __future__ import annotations

import asyncio
import json as jsonlib
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click
import typer

from consumers.replay.errors import InvalidEditError
from consumers.replay.fields import Assignment
from consumers.replay.place import Place
from infra.settings import Settings
from tidegate.commands.dlq_filter import ExecuteOption, NoteOption, PlaceArgument
from tidegate.commands.replay_output import report_as_json, say_report
from tidegate.console import JsonOption, emit_json, emit_table, say, serve

if TYPE_CHECKING:
    from consumers.replay.letters import FoundLetter
    from consumers.replay.mending import Draft, Mended
    from consumers.replay.runs import RunReport
    from tidegate.wiring.replay import Resending


def register(dlq: typer.Typer) -> None:
    """Add the command."""

    @dlq.command()
    def edit(
        place: PlaceArgument,
        set_: Annotated[
            list[str] | None,
            typer.Option("--set", metavar="FIELD=VALUE", help="A field, such as lines[0].quantity=2."),
        ] = None,
        file: Annotated[
            str | None, typer.Option(help="All fields as a JSON object in this file; - is standard input.")
        ] = None,
        editor: Annotated[bool, typer.Option("--editor", help="Write the fields in $EDITOR.")] = False,
        type_: Annotated[
            str | None, typer.Option("--type", help="The event that it is to be, full name or last part.")
        ] = None,
        header: Annotated[
            list[str] | None,
            typer.Option("--header", metavar="NAME=VALUE", help="A header; an empty value takes it away."),
        ] = None,
        execute: ExecuteOption = False,
        note: NoteOption = None,
        json: JsonOption = False,
    ) -> None:
        """Mend the payload of a dead letter and send it through the bridge; without `--execute`, show the difference.

        Event id, headers and original coordinates stay, so it counts as the same event. The mended event becomes a
        letter of its own, marked with who, when, and the place of the one that it was made from, which stays as it is.
        A letter that cannot be decoded needs all fields, and `--type` where its headers do not name one.

        Examples: `tidegate dlq edit oms.orders.dlq:3:17 --set currency=EUR` ·
        `tidegate dlq edit oms.orders.dlq:3:17 --file mended.json --execute`
        """
        wanted = _Wanted(
            place=Place.parse(place),
            assignments=[Assignment.parse(each) for each in set_ or ()],
            headers={one.path: one.text for one in map(Assignment.parse, header or ())},
            fields=_fields(file),
            type=type_,
            editor=editor,
            note=note,
        )
        if not (wanted.assignments or wanted.headers or file or editor or type_):
            raise InvalidEditError("what is to be different? say it with --set, --file, --header or --editor")
        serve(lambda stop: _edit(wanted, stop, execute=execute, json=json))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """An edit as it was asked for."""

    place: Place
    assignments: list[Assignment]
    headers: dict[str, str]
    fields: Mapping[str, Any] | None
    type: str | None
    editor: bool
    note: str | None


async def _edit(wanted: _Wanted, stop: asyncio.Event, *, execute: bool, json: bool) -> None:
    from consumers.replay.audit import person
    from consumers.replay.mending import draft_of, mend
    from tidegate.wiring.replay import open_resending

    async with open_resending(Settings()) as parts:
        look = parts.look
        box = await look.letter_box([wanted.place.topic])
        found = await box.one(wanted.place)
        draft = await draft_of(found, look.codec, look.lookup, wanted.type)
        fields = await asyncio.to_thread(written_in_editor, draft) if wanted.editor else wanted.fields
        mended = mend(
            found,
            draft,
            fields,
            wanted.assignments,
            wanted.headers,
            codec=look.codec,
            reader=parts.reader,
            actor=person(),
            now=datetime.now(UTC),
        )
        changes = [asdict(change) for change in mended.changes]
        if not json:
            title = f"{wanted.place} as {mended.event.TYPE}, event {mended.letter.event_id}"
            emit_table(title, changes, ("field", "before", "after"))
            if found.done:
                say(f"it was done with before: {found.done}")
        told = {"place": str(wanted.place), "event_id": mended.letter.event_id, "type": mended.event.TYPE}
        if not execute:
            planned = [
                {"route": one.route, "would": one.would, "workflow_id": one.workflow_id, "why": one.why}
                for one in await parts.bridge.preview(mended.letter.record)
            ]
            if json:
                emit_json({"dry_run": True, **told, "changes": changes, "planned": planned})
                return
            emit_table(
                "what it would do (dry run: nothing was sent)",
                planned,
                ("route", "would", "workflow_id", "why"),
            )
            if not (wanted.editor and sys.stdin.isatty()):
                say("to do it: the same command with --execute")
                return
            if not await asyncio.to_thread(click.confirm, "send it?"):
                say("nothing was sent")
                return
        report = await _sent(wanted, found, mended, parts, stop)
    if json:
        emit_json({"dry_run": False, **told, "changes": changes, **report_as_json(report)})
    else:
        say_report(report)


async def _sent(
    wanted: _Wanted, found: FoundLetter, mended: Mended, parts: Resending, stop: asyncio.Event
) -> RunReport:
    from consumers.replay.audit import RunRequest, person
    from consumers.replay.editing import publish_and_redrive

    selection = {
        "place": str(wanted.place),
        "type": mended.event.TYPE,
        "fields": [change.field for change in mended.changes],
        "note": wanted.note,
    }
    request = RunRequest(
        command="edit",
        topic=wanted.place.topic,
        selection={name: value for name, value in selection.items() if value},
        actor=person(),
    )
    return await publish_and_redrive(
        request,
        found,
        mended,
        dead_letters=parts.dead_letters,
        bridge=parts.bridge,
        trail=parts.look.trail,
        stop=stop,
    )


def _fields(file: str | None) -> Mapping[str, Any] | None:
    if file is None:
        return None
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        fields = jsonlib.loads(text)
    except OSError as error:
        raise InvalidEditError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InvalidEditError(f"{file} is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidEditError(f"{file} holds no JSON object: it is to hold the fields of the event")
    return fields


def written_in_editor(draft: Draft) -> Mapping[str, Any]:
    """What the person makes of the fields in their editor."""
    text = click.edit(jsonlib.dumps(draft.fields, indent=2, ensure_ascii=False) + "\n", extension=".json")
    if text is None:
        raise InvalidEditError("the editor was left without saving: nothing was done")
    try:
        fields = jsonlib.loads(text)
    except ValueError as error:
        raise InvalidEditError(f"what was written is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise InvalidEditError("what was written is no JSON object: it is to hold the fields of the event")
    return fields
