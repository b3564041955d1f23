"""``tidegate parked``: events that wait for their workflow, listed and shown; what is done about them is beside."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

import typer

from infra.settings import Settings
from tidegate.commands import parked_move
from tidegate.commands.parked_filter import (
    KeyOption,
    OlderOption,
    RouteOption,
    TypeOption,
    WorkflowOption,
    parked_filter,
)
from tidegate.console import JsonOption, emit_json, emit_table, run, say

_COLUMNS = ("event", "workflow_id", "record", "parked_at", "deadline", "ahead", "event_id")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    parked = typer.Typer(no_args_is_help=True, help="Events that wait for their workflow.")
    app.add_typer(parked, name="parked")
    _add_list(parked)
    _add_show(parked)
    parked_move.register(parked)


def _add_list(app: typer.Typer) -> None:
    @app.command("list")
    def list_(
        workflow: WorkflowOption = None,
        type_: TypeOption = None,
        key: KeyOption = None,
        route: RouteOption = None,
        older_than: OlderOption = None,
        limit: Annotated[int, typer.Option(min=1, help="At most so many, the oldest first.")] = 100,
        json: JsonOption = False,
    ) -> None:
        """List the events that wait in PostgreSQL because their workflow does not exist yet.

        `ahead` is how many wait before it for the same workflow: they go first.

        Example: `tidegate parked list --workflow order-fulfillment-8d0f… --older-than 2h`
        """
        wanted = parked_filter(None, workflow, type_, key, route, older_than)

        async def found() -> list[dict[str, Any]]:
            from tidegate.wiring.parked import open_desk

            async with open_desk(Settings()) as desk:
                return [each.describe() for each in await desk.find(wanted, limit)]

        rows = run(found())
        if json:
            emit_json({"parked": rows})
        elif rows:
            emit_table("Parked", rows, _COLUMNS)
        else:
            say("nothing is parked" if wanted.is_empty else "nothing that fits is parked")


def _add_show(app: typer.Typer) -> None:
    @app.command()
    def show(
        event_id: Annotated[UUID, typer.Argument(help="As `parked list` shows it.")],
        json: JsonOption = False,
    ) -> None:
        """Show one event that waits: why, where in the queue of its workflow, until when, and what it says.

        Example: `tidegate parked show 5f0c7c1e-…`
        """
        shown = run(_show(event_id))
        if json:
            emit_json({"parked": shown})
            return
        for one in shown:
            for name, value in one.items():
                if name == "headers":
                    emit_table(
                        name, [{"name": each, "value": text} for each, text in value], ("name", "value")
                    )
                elif isinstance(value, dict):
                    rows = [{"field": each, "value": text} for each, text in value.items()]
                    emit_table(name, rows, ("field", "value"))
                elif value is not None:
                    say(f"{name.replace('_', ' '):14} {value}")


async def _show(event_id: UUID) -> list[dict[str, Any]]:
    from consumers.replay.parked import ParkedFilter
    from tidegate.wiring.parked import open_showing

    async with open_showing(Settings()) as showing:
        whole = await showing.desk.whole(event_id)
        places = {
            each.id: each for each in await showing.desk.find(ParkedFilter(events=frozenset({event_id})))
        }
        return [await showing.describe(one, places[one.id]) for one in whole if one.id in places]
