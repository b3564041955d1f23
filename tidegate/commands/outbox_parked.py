"""``tidegate outbox parked``: rows that Kafka refused, listed, shown, sent again, given up, taken out."""

from __future__ import annotations

import base64
import json as jsonlib
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, nullcontext
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from infra.errors import MisuseError, TidegateError
from infra.settings import Settings
from infra.telemetry import configure_logging
from outbox import parking
from outbox.errors import NotParkedError
from outbox.parking import ParkedRecord
from tidegate.console import JsonOption, emit_json, emit_table, note, run, say
from tidegate.wiring.outbox import outbox_connection, sources_of
from tidegate.wiring.schemas import open_schemas

DatabaseOption = Annotated[
    str | None, typer.Option("--database", help="`services` or `upstream`; both when not given.")
]
OneDatabaseOption = Annotated[str, typer.Option("--database", help="`services` or `upstream`.")]
KeyOption = Annotated[str | None, typer.Option(help="Only rows of this key.")]
TopicOption = Annotated[str | None, typer.Option(help="Only rows of this topic.")]
SkippedOption = Annotated[bool, typer.Option("--skipped", help="Also rows that were given up.")]
RowArgument = Annotated[int, typer.Argument(metavar="ID", help="As `outbox parked list` shows it.")]

_COLUMNS = ("database", "id", "topic", "key", "type", "bytes", "state", "reason", "parked_at")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    parked = typer.Typer(no_args_is_help=True, help="Rows that Kafka refused, and those behind them.")
    parked.command("list")(list_)
    for command in (show, retry, skip, export):
        parked.command()(command)
    app.add_typer(parked, name="parked")


def list_(
    database: DatabaseOption = None,
    key: KeyOption = None,
    topic: TopicOption = None,
    skipped: SkippedOption = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows of each database at most.")] = 1000,
    json: JsonOption = False,
) -> None:
    """List the rows that Kafka refused, with the reason, and those that stand behind them.

    Example: `tidegate outbox parked list --key 5f0c…`
    """
    settings = Settings()

    async def look() -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for source in sources_of(settings, [database] if database else []):
            async with outbox_connection(source) as connection:
                found = await parking.parked_rows(
                    connection, key=key, topic=topic, skipped=skipped, limit=limit
                )
                rows += [{"database": source.name, **row} for row in found]
        return rows

    rows = run(look())
    if json:
        emit_json({"parked": rows})
    elif rows:
        emit_table("parked", rows, _COLUMNS)
    else:
        say("nothing is parked")


def show(row: RowArgument, database: OneDatabaseOption = "services", json: JsonOption = False) -> None:
    """Show one parked row: why it is parked, its headers, its payload (decoded, or in hexadecimal).

    Example: `tidegate outbox parked show 48211`
    """
    settings = Settings()
    configure_logging(settings)  # a registry that is away says so on standard error

    async def look() -> dict[str, Any]:
        async for _, record in _records(settings, database, row_id=row, skipped=True):
            return {**_described(record), "payload": await _payload(settings, record.value)}
        raise NotParkedError(f"row {row} is not parked: see `tidegate outbox parked list`")

    shown = run(look())
    if json:
        emit_json(shown)
        return
    tables = {"headers": ("header", "value"), "payload": ("field", "value")}
    for name, value in shown.items():
        if name in tables and isinstance(value, dict):
            first, second = tables[name]
            emit_table(name, [{first: one, second: text} for one, text in value.items()], tables[name])
        else:
            say(f"{name.replace('_', ' '):12} {value}")


def retry(
    key: Annotated[str | None, typer.Argument(help="Send what is parked of this key, in order.")] = None,
    topic: Annotated[str | None, typer.Option(help="Send what is parked of this topic.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Send what is parked of every key.")] = False,
    database: OneDatabaseOption = "services",
    json: JsonOption = False,
) -> None:
    """Ask the relay to send parked rows again; it does so within seconds. What is refused again stays parked.

    Example: `tidegate outbox parked retry --all`
    """
    if (key is None and topic is None) == (not every):
        raise MisuseError("say which key or topic to retry, or --all")
    settings = Settings()

    async def ask() -> int:
        async with outbox_connection(sources_of(settings, [database])[0]) as connection:
            return await parking.retry(connection, key=key, topic=topic)

    rows = run(ask())
    if json:
        emit_json({"rows": rows})
    else:
        say(f"{rows} rows will be sent again")


def skip(row: RowArgument, database: OneDatabaseOption = "services", json: JsonOption = False) -> None:
    """Give up the first parked row of a key for good and let the rows behind it follow. It stays listed as
    skipped.

    Example: `tidegate outbox parked skip 48211`
    """
    settings = Settings()

    async def give_up() -> tuple[str, str]:
        async with outbox_connection(sources_of(settings, [database])[0]) as connection:
            return await parking.skip(connection, row)

    topic, key = run(give_up())
    if json:
        emit_json({"row": row, "topic": topic, "key": key})
    else:
        say(f"row {row} of {topic} {key} is given up")


def export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; standard output when not given.")
    ] = None,
    database: DatabaseOption = None,
    key: KeyOption = None,
    topic: TopicOption = None,
    skipped: SkippedOption = False,
) -> None:
    """Write parked rows as JSON Lines, one object a row: topic, key, headers, and the value's bytes in base64.

    Nothing is changed. A file is read by its owner only.

    Example: `tidegate outbox parked export --topic oms.orders --output parked.jsonl`
    """
    settings = Settings()

    async def write(file: TextIO) -> int:
        rows = 0
        for source in sources_of(settings, [database] if database else []):
            async for name, record in _records(settings, source.name, key=key, topic=topic, skipped=skipped):
                value = base64.b64encode(record.value).decode()
                line = {"database": name, **_described(record), "value": value}
                file.write(jsonlib.dumps(line, default=str, ensure_ascii=False) + "\n")
                rows += 1
        return rows

    with nullcontext(sys.stdout) if output is None else _new_file(output) as file:
        rows = run(write(file))
    note(f"{rows} rows written")


async def _records(
    settings: Settings, database: str, **selection: Any
) -> AsyncIterator[tuple[str, ParkedRecord]]:
    source = sources_of(settings, [database])[0]
    async with (
        outbox_connection(source) as connection,
        aclosing(parking.parked_records(connection, **selection)) as records,
    ):
        async for record in records:
            yield source.name, record


def _described(record: ParkedRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "topic": record.topic,
        "key": record.key,
        "state": record.state,
        "reason": record.reason,
        "created_at": record.created_at.isoformat(),
        "parked_at": record.parked_at.isoformat(),
        "headers": dict(record.headers),
    }


async def _payload(settings: Settings, value: bytes) -> Any:
    """The event's fields; the bytes in hexadecimal where they cannot be read, or no registry knows them."""
    try:
        schemas = await open_schemas(settings)
    except TidegateError:
        return value.hex()
    try:
        return schemas.codec.decode(value).to_json()
    except TidegateError:
        return value.hex()
    finally:
        await schemas.close()


def _new_file(path: Path) -> TextIO:
    try:
        path.touch(mode=0o600, exist_ok=False)
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise MisuseError(f"{path} cannot be made: {error.strerror}") from error
