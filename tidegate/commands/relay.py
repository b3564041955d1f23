"""``tidegate relay`` publishes outboxes."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Annotated, Final

import typer
from prometheus_client import CollectorRegistry

from infra.memory import keep_large_blocks, settle_collector
from infra.settings import Settings
from infra.telemetry import configure_logging
from outbox.options import Profile, RelayOptions
from tidegate.console import JsonLogsOption, process_settings, serve
from tidegate.wiring.outbox import build_relay

_LOOK_AFTER: Final = 3.0
"""Seconds."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(relay)


def relay(
    database: Annotated[
        str | None, typer.Option("--database", help="`services` or `upstream`; both when not given.")
    ] = None,
    health_port: Annotated[
        int | None, typer.Option(help="Serve /healthz, /readyz and /metrics on this port of 127.0.0.1.")
    ] = None,
    profile: Annotated[
        Profile | None,
        typer.Option(
            help="`idempotent`: at least once, quickest; `transactional`: once for committed readers."
            " As the settings say when not given."
        ),
    ] = None,
    lease: Annotated[
        float, typer.Option(min=1.0, help="Seconds that a relay which froze keeps its shards.")
    ] = RelayOptions().lease,
    retention_days: Annotated[
        int, typer.Option(min=1, help="Whole days that published rows are kept.")
    ] = RelayOptions().retention_days,
    json: JsonLogsOption = False,
) -> None:
    """Publish the outboxes to Kafka until stopped.

    Waits for a broker or a database that is away. Several relays share the work evenly, and take over what one that
    goes leaves behind.

    Example: `tidegate relay --health-port 9101`
    """
    settle_collector(young=50_000)  # a page is thousands of rows, and no cycle holds one
    keep_large_blocks()
    settings = process_settings(json_logs=json)
    configure_logging(settings, process="relay")
    registry = CollectorRegistry()
    chosen = profile or Profile(settings.relay.profile)
    options = RelayOptions(profile=chosen, lease=lease, retention_days=retention_days)
    names = [database] if database else []

    async def serving(stop: asyncio.Event) -> None:
        publishing = build_relay(settings, names=names, options=options, registry=registry)
        async with AsyncExitStack() as around:
            if health_port is not None:
                from infra.health import serve_health  # here: a web server is loaded where one is wanted

                await around.enter_async_context(
                    serve_health(
                        health_port, registry, alive=publishing.standing_still, ready=publishing.unread
                    )
                )
            looking = asyncio.create_task(_look_for_topics(settings))
            try:
                await publishing.run(stop)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)

    serve(serving)


async def _look_for_topics(settings: Settings) -> None:
    """Once the relay is under way: the first rows do not wait for it."""
    await asyncio.sleep(_LOOK_AFTER)
    from tidegate.wiring.topics import warn_of_missing_topics

    await warn_of_missing_topics(settings)
