"""``tidegate schedules``: the schedules in Temporal."""

from __future__ import annotations

from dataclasses import asdict

import typer

from infra.settings import Settings
from infra.telemetry import configure_logging
from tidegate.console import JsonOption, emit_json, emit_table, run
from tidegate.schedules import apply_schedules, list_schedules

_COLUMNS = ("schedule", "workflow", "every_seconds", "paused", "runs", "skipped", "last_run", "next_run")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    schedules = typer.Typer(
        no_args_is_help=True, help="The schedules in Temporal: reconciliation, cost watch."
    )
    app.add_typer(schedules, name="schedules")

    @schedules.command()
    def apply(json: JsonOption = False) -> None:
        """Make every schedule what it should be; one that was paused stays paused. `tidegate run` does it too.

        Example: `tidegate schedules apply`
        """
        settings = Settings()
        configure_logging(settings, process="schedules")
        done = run(apply_schedules(settings))
        if json:
            emit_json({"schedules": done})
        else:
            rows = [{"schedule": name, "was": what} for name, what in done.items()]
            emit_table(f"{len(rows)} schedules", rows, ("schedule", "was"))

    @schedules.command(name="list")
    def list_all(json: JsonOption = False) -> None:
        """Show when each schedule ran, and when it runs next.

        Example: `tidegate schedules list`
        """
        settings = Settings()
        configure_logging(settings, process="schedules")
        states = run(list_schedules(settings))
        if json:
            emit_json({"schedules": [asdict(state) for state in states]})
        else:
            emit_table(f"{len(states)} schedules", [asdict(state) for state in states], _COLUMNS)
