"""The ``tidegate`` command: its sub-commands, and what it does with an error.

Each module in ``tidegate/commands`` adds its own commands with ``register(app)``. They are imported here
by name only when the command line needs them, so that ``tidegate relay`` does not pay for the rest.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

import typer

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


def main() -> None:
    """Run the command. A named error is one line on standard error: status 2 for misuse, 1 for failure."""
    try:
        build_app(sys.argv[1:])()
    except TidegateError as error:
        if os.environ.get("TIDEGATE_DEBUG"):
            raise
        sys.stderr.write(f"tidegate: {error}\n")
        raise SystemExit(error.exit_status) from None
    except KeyboardInterrupt:
        sys.stderr.write("tidegate: stopped\n")
        raise SystemExit(130) from None
