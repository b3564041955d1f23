"""``tidegate migrate``: bring both databases to the newest revision."""

from __future__ import annotations

import typer

from infra.settings import Settings
from tidegate.bootstrap import migrate_databases
from tidegate.console import JsonOption, emit_json, run, say


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def migrate(json: JsonOption = False) -> None:
        """Bring the services' database and the upstream database to the newest revision of every room.

        Where a Temporal address is known, its namespace gets the search attributes of the workflows too. Safe to
        repeat, and safe beside running processes: each schema is changed in one transaction.

        Example: `tidegate migrate`
        """
        settings = Settings()
        done = run(_migrate(settings))
        if json:
            emit_json(done)
        else:
            for where, what in done.items():
                say(f"{where}: {', '.join(what)} are current")


async def _migrate(settings: Settings) -> dict[str, list[str]]:
    done = await migrate_databases(settings)
    if settings.temporal.address is None:
        return done
    from tidegate.wiring.workflows import register_search_attributes

    return {**done, "temporal": await register_search_attributes(settings)}
