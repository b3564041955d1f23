"""``tidegate new``: write the parts of something new into the source tree."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tidegate.console import JsonOption, emit_json, say
from tidegate.scaffold import NewWorkflow, next_steps, write


def register(app: typer.Typer) -> None:
    """Add the command."""
    new = typer.Typer(no_args_is_help=True, help="Write the parts of something new into the source tree.")
    app.add_typer(new, name="new")

    @new.callback()
    def group() -> None:
        """Write the parts of something new into the source tree."""

    @new.command()
    def workflow(
        name: Annotated[str, typer.Argument(metavar="NAME", help="Its name, say GoodsInspection.")],
        subject: Annotated[
            str, typer.Option(help="What it is about: its id is part of the workflow's.")
        ] = "order",
        context: Annotated[str, typer.Option(help="The context that owns its activities.")] = "oms",
        root: Annotated[Path, typer.Option(help="The root of the source tree.")] = Path(),
        json: JsonOption = False,
    ) -> None:
        """Write a workflow: contracts, a body made of the building blocks, replay scenarios, tests, registrations.

        What is written passes `make check` and its own tests; it begins, waits for a report with a clock, and
        undoes what it did when the report does not come.

        Example: `tidegate new workflow GoodsInspection --subject lot --context ims`
        """
        wanted = NewWorkflow(name, subject, context)
        written = [str(path.relative_to(root.resolve())) for path in write(wanted, root.resolve())]
        steps = next_steps(wanted)
        if json:
            emit_json({"written": written, "next": steps})
            return
        for path in written:
            say(f"wrote {path}")
        for number, step in enumerate(steps, 1):
            say(f"{number}. {step}")
