"""``tidegate analytics``: the read models of the order topics."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated

import structlog
import typer
from prometheus_client import CollectorRegistry

from infra.health import serve_health
from infra.settings import Settings
from infra.telemetry import configure_logging
from tidegate.console import JsonLogsOption, process_settings, serve


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def analytics(
        group_prefix: Annotated[
            str, typer.Option(help="Prefix of the consumer group, `<prefix>-analytics`.")
        ] = "tidegate",
        batch_size: Annotated[
            int, typer.Option(min=1, help="Events written in one transaction at most.")
        ] = 500,
        session_timeout: Annotated[
            float, typer.Option(min=6.0, help="Seconds after which a dead member loses its partitions.")
        ] = 10.0,
        health_port: Annotated[
            int | None, typer.Option(help="Serve /healthz, /readyz and /metrics on 127.0.0.1 at this port.")
        ] = None,
        json: JsonLogsOption = False,
    ) -> None:
        """Keep the tables of the schema `analytics` current with the order topics, until SIGINT or SIGTERM.

        `analytics.order_facts` has one row an order (submitted, reserved, shipped, lead time, gross and net amount),
        `analytics.revenue_by_day` what was shipped on each UTC day. An event that comes twice counts once. It logs
        "ready" once partitions are assigned. What is not finished ten seconds after it was told to stop is left to the
        next process, and the status is 1.

        Example: `tidegate analytics --batch-size 1000`
        """
        settings = process_settings(json_logs=json)
        configure_logging(settings, process="analytics")
        serve(
            lambda stop: _serve(
                settings, f"{group_prefix}-analytics", batch_size, session_timeout, health_port, stop
            )
        )


async def _serve(
    settings: Settings,
    group: str,
    batch_size: int,
    session_timeout: float,
    health_port: int | None,
    stop: asyncio.Event,
) -> None:
    # faust takes a while to import and only this command needs it
    from consumers.analytics.application import AnalyticsOptions
    from consumers.errors import NotDrainedError
    from tidegate.wiring.analytics import serve_analytics

    log = structlog.get_logger()
    registry = CollectorRegistry()
    options = AnalyticsOptions(group=group, batch_size=batch_size, session_timeout=session_timeout)
    waits_for = ["the group has assigned no partitions"]

    def ready() -> None:
        waits_for.clear()
        log.info("ready", topics=options.topics)

    async with AsyncExitStack() as opened:
        if health_port is not None:
            await opened.enter_async_context(serve_health(health_port, registry, ready=lambda: waits_for))
        drained = await serve_analytics(settings, options, registry, stop, ready)
    log.info("stopped", drained=drained)
    if not drained:
        raise NotDrainedError
