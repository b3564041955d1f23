"""``tidegate simulate payments``: the payment provider, as a process that knows only HTTP."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import structlog
import typer

from infra.settings import Settings
from infra.telemetry import configure_telemetry
from services.upstream.provider import Faults
from tidegate.console import JsonLogsOption, process_settings, serve
from tidegate.wiring.payments import serving_provider


def _share(of: str) -> Any:
    return typer.Option(min=0.0, max=1.0, help=f"Share of {of}.")


Decline = Annotated[float, _share("authorisations that are refused")]
InsufficientFunds = Annotated[float, _share("captures that are refused")]
Fraud = Annotated[float, _share("payments that look like a fraud")]
InvalidCard = Annotated[float, _share("cards that have expired")]
Error = Annotated[float, _share("calls that fail before anything is done")]
TimeoutAfterSuccess = Annotated[float, _share("calls that are done and never answered")]


def register(simulate: typer.Typer) -> None:
    """Add the command to ``tidegate simulate``."""

    @simulate.command()
    def payments(
        seed: Annotated[int, typer.Option(help="Decides everything that is left to chance.")] = 1,
        port: Annotated[
            int | None,
            typer.Option(min=1, max=65535, help="Port on 127.0.0.1, instead of the one in payments.url."),
        ] = None,
        decline: Decline = 0.0,
        insufficient_funds: InsufficientFunds = 0.0,
        fraud: Fraud = 0.0,
        invalid_card: InvalidCard = 0.0,
        error: Error = 0.0,
        timeout_after_success: TimeoutAfterSuccess = 0.0,
        delay: Annotated[float, typer.Option(min=0.0, help="Seconds before each answer.")] = 0.0,
        json: JsonLogsOption = False,
    ) -> None:
        """Hold, take and give back money over HTTP, with idempotency keys. GET /books shows what was done.

        Payment tokens that begin with tok_declined, tok_insufficient_funds, tok_capture_insufficient_funds,
        tok_fraud, tok_fraud_v2 or tok_invalid_card have the fate that they name, whatever the shares. PUT /faults
        changes what goes wrong while it runs.

        Example: `tidegate simulate payments --timeout-after-success 0.05 --error 0.05 --seed 7`
        """
        faults = Faults(
            seed=seed,
            decline=decline,
            insufficient_funds=insufficient_funds,
            fraud=fraud,
            invalid_card=invalid_card,
            error=error,
            lost=timeout_after_success,
            delay=delay,
        )
        settings = process_settings(json_logs=json)
        configure_telemetry(settings, process="payments")
        serve(lambda stop: _serve(settings, faults, port, stop))


async def _serve(settings: Settings, faults: Faults, port: int | None, stop: asyncio.Event) -> None:
    log = structlog.get_logger()
    async with serving_provider(settings, faults, port=port) as server:
        log.info("ready", url=server.url)
        await stop.wait()
    log.info("stopped")
