"""``tidegate outbox …`` looks at the outboxes, and does what a person decides about them."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from infra.errors import TidegateError
from infra.settings import Settings
from outbox.identity import adopt as adopt_copy
from outbox.layout import accept
from outbox.options import Source
from outbox.roles import apply_roles
from outbox.status import outbox_status
from tidegate.commands import outbox_parked
from tidegate.commands.outbox_parked import DatabaseOption, OneDatabaseOption
from tidegate.console import JsonOption, emit_json, emit_table, run, say
from tidegate.wiring.outbox import outbox_connection, sources_of
from tidegate.wiring.topics import partitions_read_to_their_end

_GROUP_COLUMNS = ("shard_group", "owner", "alive", "epoch", "snapshot", "lag_rows", "lag_seconds")
_RELAY_COLUMNS = ("name", "profile", "groups", "alive", "since", "pid")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    outbox = typer.Typer(
        help="Look at the outboxes, and decide about what the relay cannot.", no_args_is_help=True
    )
    outbox.command()(status)
    outbox_parked.register(outbox)
    for command in (adopt, accept_partitions, roles):
        outbox.command()(command)
    app.add_typer(outbox, name="outbox")


def status(
    database: DatabaseOption = None,
    watch: Annotated[
        float | None, typer.Option(min=0.2, metavar="SECONDS", help="Look again every so many seconds.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Show the relays, owner, cursor and lag of each group of shards, what is parked, and what holds rows back.

    Example: `tidegate outbox status --watch 2`
    """
    settings = Settings()

    async def look(source: Source) -> dict[str, Any]:
        async with outbox_connection(source) as connection:
            found = await outbox_status(connection)
            return {
                "database": source.name,
                "lag_rows": found.lag_rows,
                "lag_seconds": round(found.lag_seconds, 3),
                "parked": found.parked,
                "blocker": asdict(found.blocker) if found.blocker else None,
                "relays": [asdict(relay) for relay in found.relays],
                "groups": [asdict(group) for group in found.groups],
            }

    async def look_at_all() -> list[dict[str, Any]]:
        return [await look(source) for source in sources_of(settings, [database] if database else [])]

    async def look_on() -> None:
        while True:
            found = await look_at_all()
            if watch is not None and not json and sys.stdout.isatty():
                Console().clear()
            emit_json({"databases": found}) if json else _say_status(found)
            if watch is None:
                return
            await asyncio.sleep(watch)

    run(look_on())


def _say_status(databases: list[dict[str, Any]]) -> None:
    for one in databases:
        waiting = f"{one['lag_rows']} rows wait, the oldest {one['lag_seconds']} s, {one['parked']} parked"
        groups = [{**group, "lag_seconds": round(group["lag_seconds"], 3)} for group in one["groups"]]
        emit_table(f"{one['database']}: {waiting}", groups, _GROUP_COLUMNS)
        if one["relays"]:
            emit_table(f"{one['database']}: relays", one["relays"], _RELAY_COLUMNS)
        else:
            say("no relay runs")
        if blocker := one["blocker"]:
            whose = f"process {blocker['pid']}" if blocker["pid"] else "no process"
            say(
                f"oldest writing transaction: {whose}, {round(blocker['seconds'], 1)} s, {blocker['state']}:"
                f" {blocker['query']}"
            )


def adopt(
    database: OneDatabaseOption = "services",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    json: JsonOption = False,
) -> None:
    """Make a restored copy of a database the one that publishes, after its relay has refused to start.

    What the copy does not know to be published goes out again: at least once, nothing lost. Only when the
    original is gone; otherwise both publish. Appends wait while it runs.

    Example: `tidegate outbox adopt --database services --yes`
    """
    settings = Settings()
    if not yes:
        typer.confirm(f"is the database of {database} a copy whose original no longer publishes?", abort=True)

    async def take() -> str:
        async with outbox_connection(sources_of(settings, [database])[0]) as connection:
            return str(await adopt_copy(connection))

    generation = run(take())
    if json:
        emit_json({"generation": generation})
    else:
        say(f"adopted: generation {generation}")


def accept_partitions(
    topic: Annotated[list[str], typer.Argument(help="A topic whose number of partitions has changed.")],
    database: OneDatabaseOption = "services",
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also while a consumer group has not read all that is there.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Spread the keys of topics over the partitions that they have now, after the number was changed.

    A key moves to another partition, so whoever reads both at once may meet its events in the wrong order: stop the
    relays of the database and let every consumer group finish first. Refused while a relay runs, and while a group
    that has committed offsets has records left.

    Example: `tidegate outbox accept-partitions oms.orders`
    """
    settings = Settings()

    async def take() -> list[dict[str, Any]]:
        found = await partitions_read_to_their_end(settings, topic, anyway=anyway)
        async with outbox_connection(sources_of(settings, [database])[0]) as connection:
            changed = await accept(connection, found)
        return [{"topic": name, "was": was, "partitions": now} for name, was, now in changed]

    changed = run(take())
    if json:
        emit_json({"changed": changed})
        return
    for one in changed:
        say(f"{one['topic']}: keys are spread over {one['partitions']} partitions, {one['was']} before")
    if not changed:
        say("nothing differs from what is noted")


def roles(
    database: DatabaseOption = None,
    prefix: Annotated[str, typer.Option(help="What the names of the roles begin with.")] = "tidegate",
    json: JsonOption = False,
) -> None:
    """Make the roles of least privilege (`_app` appends, `_relay` publishes, `_reader` looks on, `_migrator` owns) and
    give them their rights. Safe to repeat; run it after `tidegate migrate`, as the owner of the outbox.

    The roles cannot log in: grant them to logins. What this login may not do is printed as SQL for somebody who may;
    exit status 1 then.

    Example: `tidegate outbox roles`
    """
    settings = Settings()

    async def apply() -> dict[str, Any]:
        done = {}
        for source in sources_of(settings, [database] if database else []):
            async with outbox_connection(source) as connection:
                done[source.name] = asdict(await apply_roles(connection, prefix=prefix))
        return done

    done = run(apply())
    if json:
        emit_json(done)
    else:
        for name, one in done.items():
            say(
                f"-- {name}: {', '.join(one['roles']) or 'no role'} has its rights; to be run by somebody who may:"
                if one["left"]
                else f"{name}: {', '.join(one['roles'])} have their rights"
            )
            for statement in one["left"]:
                say(f"{statement};")
    if any(one["left"] for one in done.values()):
        raise TidegateError("some statements are left to somebody with more rights; then run this again")
