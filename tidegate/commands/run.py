"""``tidegate run``: the whole loop under one supervisor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer
from temporalio.service import RPCError

from infra.errors import MisuseError, UnavailableError
from infra.locks import only_loop
from infra.settings import Settings
from infra.telemetry import configure_logging
from tidegate.bootstrap import prepare, process_environment, with_known_ids
from tidegate.console import JsonLogsOption, note, process_settings, serve
from tidegate.processes import loop_processes, upstream_processes
from tidegate.schedules import apply_schedules
from tidegate.supervisor import Supervisor

_SCHEDULES_AGAIN = 5.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def run(
        simulate: bool = typer.Option(
            False, "--simulate", help="Run the simulated warehouse floor and carrier too."
        ),
        replicas: Annotated[
            list[str] | None,
            typer.Option(
                metavar="QUEUE=NUMBER", help="Workers of one queue; again for others. One, unless told."
            ),
        ] = None,
        metrics_port: Annotated[
            int | None,
            typer.Option(min=1, max=65000, help="The first worker serves /metrics here, the next one up."),
        ] = None,
        json: JsonLogsOption = False,
    ) -> None:
        """Run relay, bridge, one worker per task queue and analytics, and keep them running.

        A process that ends is started again with backoff. Ctrl-C stops them in order: what makes new work
        first, what only reads last. Logs go to `<home>/logs/<process>.log`, with --json as JSON.

        One at a time in a home. For production 002 recommends `--replicas order-processing=3
        --replicas payment-processing=2`.

        Example: `tidegate up --detach && tidegate run --simulate --replicas order-processing=3`
        """
        settings = process_settings(json_logs=json)
        settings.workers.replicas |= _numbers(replicas or ())
        if metrics_port is not None:
            settings.workers.metrics_port = metrics_port
        configure_logging(settings, process="run")
        serve(lambda stop: _run(settings, stop, simulate=simulate))


def _numbers(replicas: Sequence[str]) -> dict[str, int]:
    """How many of which. Raises :class:`MisuseError` for what is not QUEUE=NUMBER."""
    wanted = {}
    for word in replicas:
        queue, _, number = word.partition("=")
        if not number.isdecimal() or int(number) < 1:
            raise MisuseError(f"--replicas takes QUEUE=NUMBER, say order-processing=3, and not {word!r}")
        wanted[queue] = int(number)
    return wanted


async def _run(settings: Settings, stop: asyncio.Event, *, simulate: bool) -> None:
    specs = (
        *loop_processes(settings.home, workers=settings.workers),
        *(upstream_processes(()) if simulate else ()),
    )
    with only_loop(settings.home):
        await prepare(settings)
        supervisor = Supervisor(
            specs,
            log_folder=settings.home / "logs",
            environment=process_environment(with_known_ids(settings)),
        )
        await supervisor.start()
        schedules = asyncio.create_task(_apply_schedules(settings))
        note(f"running: {', '.join(spec.name for spec in specs)}")
        note(f"logs in {settings.home / 'logs'}; Ctrl-C stops all of them in order")
        await stop.wait()
        note("stopping")
        schedules.cancel()
        await asyncio.gather(schedules, return_exceptions=True)
        await supervisor.stop()


async def _apply_schedules(settings: Settings) -> None:
    """Make the schedules in Temporal, as soon as it answers."""
    while True:
        try:
            await apply_schedules(settings)
        except (UnavailableError, RPCError) as error:
            note(f"schedules are not applied yet: {error}")
            await asyncio.sleep(_SCHEDULES_AGAIN)
        else:
            return
