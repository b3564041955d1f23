"""``tidegate worker``: one worker, of one task queue."""

from __future__ import annotations

import asyncio
from typing import Annotated

import structlog
import typer

from infra.telemetry import configure_telemetry
from tidegate.console import JsonLogsOption, process_settings, serve
from tidegate.wiring.workflows import QUEUES, running_worker


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def worker(
        queue: Annotated[str, typer.Option(help=f"The task queue: {', '.join(QUEUES)}.")],
        number: Annotated[int, typer.Option(min=1, help="Tells workers of one queue apart.")] = 1,
        health_port: Annotated[
            int | None,
            typer.Option(min=1, max=65535, help="Serve the SDK's metrics on 127.0.0.1 at this port."),
        ] = None,
        seed: Annotated[int, typer.Option(help="Decides which labels the local carrier refuses.")] = 0,
        label_failure: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of labels that the local carrier refuses.")
        ] = 0.0,
        json: JsonLogsOption = False,
    ) -> None:
        """Run the worker of one task queue: `order-processing` runs workflows, the others a context's activities.

        Stopping it (Ctrl-C, SIGTERM) lets activities that are under way finish. While no worker serves a queue,
        its work waits.

        Example: `tidegate worker --queue oms`
        """
        settings = process_settings(json_logs=json)
        configure_telemetry(settings, process=f"worker-{queue}")

        async def serving(stop: asyncio.Event) -> None:
            log = structlog.get_logger()
            async with running_worker(
                settings,
                queue,
                number=number,
                seed=seed,
                label_failure=label_failure,
                metrics_port=health_port,
            ):
                log.info("ready", queue=queue, number=number)
                await stop.wait()
                log.info("stopping", queue=queue)
            log.info("stopped", queue=queue)

        serve(serving)
