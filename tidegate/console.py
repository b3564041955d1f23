"""What commands share: printing for people and for programs, running asynchronous work, stopping it."""

from __future__ import annotations

import asyncio
import json as jsonlib
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from infra.settings import Settings

Result = TypeVar("Result")

_WIDTH_OF_A_PIPE = 200

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
"""``--json``, the same on every command."""


JsonLogsOption = Annotated[bool, typer.Option("--json", help="Log one JSON object a line.")]
"""``--json`` of a command that runs until it is stopped: its output is its log."""


def process_settings(*, json_logs: bool) -> Settings:
    """The settings of this process; ``json_logs`` is what its command line says of logs, above the environment."""
    settings = Settings()
    if json_logs:
        settings.log_json = True
    return settings


def emit_json(data: Any) -> None:
    """Print ``data`` as one line of JSON on standard output; what JSON lacks is printed as text."""
    sys.stdout.write(jsonlib.dumps(data, default=str, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def emit_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Print ``rows`` as a table on standard output, an empty cell for what is missing.

    Into a pipe or a file the table is as wide as it must be to keep ids whole.
    """
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row.get(column)) for column in columns))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"
    return "" if value is None else str(value)


def say(text: str) -> None:
    """Print one line for a person on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Print one line of progress on standard error, so that standard output stays what was asked for."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """Run ``work`` to its end; Ctrl-C and SIGTERM cancel it and let it clean up.

    After SIGTERM the process ends with status 143, as a shell expects.
    """
    terminated = False

    async def running() -> Result:
        task = asyncio.current_task()

        def terminate() -> None:
            nonlocal terminated
            terminated = True
            if task is not None:
                task.cancel()

        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
        return await work

    try:
        return asyncio.run(running())
    except asyncio.CancelledError:
        if terminated:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise


def serve(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run ``work(stop)`` until it ends by itself; SIGINT or SIGTERM sets ``stop`` once.

    A second signal ends the process at once, for one who will not wait.
    """

    async def serving() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def ask_to_stop(number: int) -> None:
            if stop.is_set():
                raise SystemExit(128 + number)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ask_to_stop, number)
        await work(stop)

    asyncio.run(serving())
