"""The ``tidegate`` command: its sub-commands, and what it does with an error.

Each module in ``tidegate/commands`` adds its own commands with ``register(app)``. They are imported here
by name only when the command line needs them, so that ``tidegate relay`` does not pay for the rest.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence
from typing import Final

import typer
from pydantic import ValidationError
from typer._click.exceptions import ClickException, NoArgsIsHelpError, UsageError

from infra.errors import TidegateError

_COMMANDS: dict[str, str] = {
    "demo": "demo",
    "up": "stack",
    "down": "stack",
    "status": "stack",
    "doctor": "stack",
    "fetch": "stack",
    "run": "run",
    "migrate": "migrate",
    "relay": "relay",
    "outbox": "outbox",
    "bridge": "bridge",
    "routes": "routes",
    "parked": "parked",
    "worker": "worker",
    "submit": "submit",
    "checkout": "checkout",
    "stock": "stock",
    "simulate": "simulate",
    "orders": "orders",
    "carts": "carts",
    "returns": "returns",
    "workflows": "workflows",
    "audit": "audit",
    "reconcile": "reconcile",
    "schedules": "schedules",
    "analytics": "analytics",
    "replay": "replay",
    "dlq": "dlq",
    "schemas": "schemas",
    "topics": "schemas",
    "new": "new",
}
"""Which module in ``tidegate.commands`` offers each command, in the order of the help text."""
_INTERRUPTED: Final = 130
"""The exit status after Ctrl-C: 128 and the signal's number."""


def build_app(words: Sequence[str] = ()) -> typer.Typer:
    """The command line for the arguments ``words``: the one command that they name, else all of them."""
    app = typer.Typer(
        name="tidegate",
        help="Joins Kafka and Temporal so that nothing is lost and nothing happens twice.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        add_completion=False,
    )

    @app.callback()
    def options(
        debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    ) -> None:
        """Joins Kafka and Temporal so that nothing is lost and nothing happens twice."""
        if debug:
            os.environ["TIDEGATE_DEBUG"] = "1"

    wanted = next((word for word in words if not word.startswith("-")), None)
    modules = [_COMMANDS[wanted]] if wanted in _COMMANDS else list(dict.fromkeys(_COMMANDS.values()))
    for name in modules:
        importlib.import_module(f"tidegate.commands.{name}").register(app)
    return app


def main(*, supervised: bool = False) -> None:
    """Run the command. An error is one line on standard error: status 2 for misuse, 1 for failure.

    Of an error that nobody foresaw the traceback is kept where that line goes to a log, as ``supervised`` says.
    """
    line: str | None = None
    try:
        gc.disable()  # what is imported stays for good: to look through it for garbage takes a tenth of the start
        app = build_app(sys.argv[1:])
        gc.freeze()
        gc.enable()
        status = app(prog_name="tidegate", standalone_mode=False)
        if status == _INTERRUPTED:  # typer's own end of a Ctrl-C
            line = "stopped"
    except KeyboardInterrupt:
        line, status = "stopped", _INTERRUPTED
    except typer.Abort:
        line, status = "nothing was done", 1
    except NoArgsIsHelpError as error:
        error.show()
        status = error.exit_code
    except Exception as error:
        first = _first_of(error)
        foreseen = _foreseen(first)
        if os.environ.get("TIDEGATE_DEBUG") or (supervised and foreseen is None):
            raise
        line, status = foreseen or (_unforeseen(first), 1)
    if line is not None:
        sys.stderr.write(f"tidegate: {line}\n")
    raise SystemExit(status or 0)


def _first_of(error: Exception) -> Exception:
    """The first of errors that came at once, as those of several roles in one process do."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _foreseen(error: Exception) -> tuple[str, int] | None:
    """The line and the status of an error that says itself what to do; None for any other."""
    match error:
        case TidegateError():
            return str(error), error.exit_status
        case UsageError(ctx=context) if context is not None:
            return (
                f"{error.format_message().rstrip('.')}; `{context.command_path} --help` shows how",
                error.exit_code,
            )
        case ClickException():
            return error.format_message(), error.exit_code
        case ValidationError(title="Settings"):
            first = error.errors(include_input=False, include_url=False)[0]  # the input may be a secret
            name = "__".join(str(part) for part in first["loc"]).upper()
            return f"TIDEGATE_{name} is not what it must be: {first['msg']}", 2
    return None


def _unforeseen(error: Exception) -> str:
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words} (`tidegate --debug …` shows where)"
