"""``tidegate dlq``: dead letters listed and shown; what is done about them is in the modules beside."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from consumers.replay.place import Place
from infra.settings import Settings
from tidegate.commands import dlq_edit, dlq_send
from tidegate.commands.dlq_filter import (
    EventOption,
    FromOption,
    KeyOption,
    PlaceArgument,
    Query,
    ReasonOption,
    ToOption,
    TypeOption,
    WhereArgument,
    query,
)
from tidegate.console import JsonOption, emit_json, emit_table, run, say


def register(app: typer.Typer) -> None:
    """Add the commands."""
    dlq = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be delivered, and why.")
    app.add_typer(dlq, name="dlq")
    _add_list(dlq)
    _add_show(dlq)
    dlq_edit.register(dlq)
    dlq_send.register(dlq)


def _add_list(dlq: typer.Typer) -> None:
    @dlq.command("list")
    def list_(
        where: WhereArgument = None,
        reason: ReasonOption = None,
        type_: TypeOption = None,
        key: KeyOption = None,
        event: EventOption = None,
        from_time: FromOption = None,
        to_time: ToOption = None,
        open_: Annotated[
            bool, typer.Option("--open", help="Only what was not sent back, edited or discarded.")
        ] = False,
        limit: Annotated[
            int, typer.Option(min=0, help="Show at most so many letters; the counts have all.")
        ] = 50,
        json: JsonOption = False,
    ) -> None:
        """Count the dead letters by topic, reason and type, and list them.

        Example: `tidegate dlq list oms.orders --reason undecodable --from-time 2h --open`
        """
        asked = query(
            where,
            reasons=reason,
            types=type_,
            keys=key,
            events=event,
            from_time=from_time,
            to_time=to_time,
            undone=open_,
        )
        found = run(_list(asked, limit))
        if json:
            emit_json(found)
            return
        counts = ("topic", "reason", "type", "letters", "open", "redriven", "discarded")
        emit_table("Dead letters", found["counts"], counts)
        if found["letters"]:
            columns = ("place", "reason", "type", "key", "original", "at", "done")
            emit_table(f"the first {len(found['letters'])}", found["letters"], columns)


def _add_show(dlq: typer.Typer) -> None:
    @dlq.command()
    def show(place: PlaceArgument, json: JsonOption = False) -> None:
        """Show one dead letter: why it is one, its headers, its payload.

        A payload that cannot be decoded is shown as far as it can: its fields up to the fault, where the fault is, and
        all of its bytes in hexadecimal.

        Example: `tidegate dlq show oms.orders.dlq:3:17`
        """
        shown = run(_show(Place.parse(place)))
        if json:
            emit_json(shown)
            return
        for name, value in shown.items():
            if name == "headers":
                emit_table(
                    "headers", [{"name": one, "value": text} for one, text in value], ("name", "value")
                )
            elif isinstance(value, dict):
                title = "the payload, as far as it can be read" if name == "partial" else name
                emit_table(
                    title, [{"field": one, "value": text} for one, text in value.items()], ("field", "value")
                )
            elif value is not None:
                say(f"{name.replace('_', ' '):14} {value}")


async def _list(asked: Query, limit: int) -> dict[str, Any]:
    from consumers.replay.letters import LetterCounts
    from tidegate.wiring.replay import dead_letter_topics, open_looking

    settings = Settings()
    async with open_looking(settings) as look:
        topics = await dead_letter_topics(settings.kafka, asked.topic)
        box = await look.letter_box(topics)
        counts = LetterCounts()
        letters: list[dict[str, Any]] = []
        for each in topics:
            async for batch in box.read(each, asked.letters):
                counts.add(batch)
                letters += [found.describe() for found in batch[: max(0, limit - len(letters))]]
    return {"counts": counts.rows(), "letters": letters}


async def _show(place: Place) -> dict[str, Any]:
    from tidegate.wiring.replay import open_looking

    async with open_looking(Settings()) as look:
        box = await look.letter_box([place.topic])
        found = await box.one(place)
        return {**found.describe(), **await look.contents(found)}
