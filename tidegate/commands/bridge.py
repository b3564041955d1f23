"""``tidegate bridge``: events from Kafka become starts and signals of workflows."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated

import structlog
import typer
from prometheus_client import CollectorRegistry

from consumers.errors import NotDrainedError
from consumers.runtime.health import HealthLimits, RuntimeHealth
from consumers.runtime.options import RuntimeOptions
from infra.health import serve_health
from infra.memory import settle_collector
from infra.settings import Settings
from infra.telemetry import configure_telemetry
from tidegate.console import JsonLogsOption, process_settings, serve
from tidegate.wiring.bridge import open_bridge


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def bridge(
        workers: Annotated[int, typer.Option(min=1, help="Keys worked on at once.")] = 64,
        member: Annotated[
            str | None,
            typer.Option(help="A name that stays the same over restarts: partitions come back at once."),
        ] = None,
        group_prefix: Annotated[
            str, typer.Option(help="Prefix of the consumer group, `<prefix>-bridge`.")
        ] = "tidegate",
        session_timeout: Annotated[
            float, typer.Option(min=6.0, help="Seconds after which a dead member loses its partitions.")
        ] = 10.0,
        health_port: Annotated[
            int | None,
            typer.Option(
                min=1, max=65535, help="Serve /healthz, /readyz and /metrics on 127.0.0.1 at this port."
            ),
        ] = None,
        max_poll_age: Annotated[
            float, typer.Option(min=1.0, help="Not alive after so many seconds without a poll.")
        ] = 60.0,
        max_lag: Annotated[
            int | None, typer.Option(min=0, help="Not ready with a partition more records behind.")
        ] = None,
        max_lag_seconds: Annotated[
            float | None, typer.Option(min=0.0, help="Not ready with a partition more seconds behind.")
        ] = None,
        max_in_flight_seconds: Annotated[
            float | None, typer.Option(min=0.0, help="Not ready with a record in flight for longer.")
        ] = None,
        json: JsonLogsOption = False,
    ) -> None:
        """Turn events from Kafka into starts and signals of workflows, until SIGINT or SIGTERM.

        It logs "ready" once partitions are assigned. Stopping finishes what is in flight and commits; what is not
        done within ten seconds is left to the next process, and the status is 1.

        /healthz fails while the poll loop stands still: a new process helps. /readyz fails also while no partition is
        assigned, one waits for Temporal, or a limit is passed.

        Example: `tidegate bridge --workers 128 --health-port 9102 --max-lag-seconds 60`
        """
        settings = process_settings(json_logs=json)
        configure_telemetry(settings, process="bridge")
        options = RuntimeOptions(
            group_id=f"{group_prefix}-bridge",
            member=member,
            workers=workers,
            session_timeout=session_timeout,
        )
        health = RuntimeHealth(
            HealthLimits(
                poll_age=max_poll_age,
                lag_records=max_lag,
                lag_seconds=max_lag_seconds,
                oldest_in_flight=max_in_flight_seconds,
            )
        )
        serve(lambda stop: _serve(settings, options, health, health_port, stop))


async def _serve(
    settings: Settings,
    options: RuntimeOptions,
    health: RuntimeHealth,
    health_port: int | None,
    stop: asyncio.Event,
) -> None:
    log = structlog.get_logger()
    registry = CollectorRegistry()
    registry.register(health)
    async with AsyncExitStack() as opened:
        if health_port is not None:
            await opened.enter_async_context(
                serve_health(health_port, registry, alive=health.alive, ready=health.ready)
            )
        bridge = await opened.enter_async_context(open_bridge(settings, registry=registry))
        settle_collector()
        drained = await bridge.serve(
            options, stop, ready=lambda: log.info("ready", topics=bridge.table.topics), health=health
        )
    log.info("stopped", drained=drained)
    if not drained:
        raise NotDrainedError
