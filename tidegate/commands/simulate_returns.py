"""``tidegate simulate returns``: the desk of the warehouse that takes in what customers send back."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from infra.telemetry import configure_telemetry
from services.upstream import Simulation
from services.upstream.returns_desk import RETURNS_DESK
from tidegate.console import JsonLogsOption, process_settings, serve
from tidegate.wiring.services import open_role

Share = Annotated[float, typer.Option(min=0.0, max=1.0, help="Taken, and changes nothing here.")]


def register(simulate: typer.Typer) -> None:
    """Add the command to ``tidegate simulate``."""

    @simulate.command(name="returns")
    def returns_desk(
        seed: Annotated[int, typer.Option(help="Decides everything that is left to chance.")] = 1,
        delay: Annotated[float, typer.Option(min=0.0, help="Mean seconds of each piece of work.")] = 0.2,
        duplicate: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of events that come again.")
        ] = 0.0,
        duplicate_fact: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of facts reported again under a new event id.")
        ] = 0.0,
        reorder: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of returns inspected before they are received.")
        ] = 0.0,
        missing: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of lines of which only half comes back.")
        ] = 0.0,
        scrap: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of lines that are unfit for the shelf.")
        ] = 0.0,
        reject: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of lines that are not accepted.")
        ] = 0.0,
        early: Share = 0.0,
        short_delivery: Share = 0.0,
        group_prefix: Annotated[str, typer.Option(help="Start of the consumer group's name.")] = "tidegate-",
        json: JsonLogsOption = False,
    ) -> None:
        """Take in and inspect every approved return, and report it (ReturnReceived, ReturnInspected).

        Example: `tidegate simulate returns --delay 2 --missing 0.1 --scrap 0.2 --seed 7`
        """
        world = Simulation(
            seed,
            delay,
            duplicate,
            duplicate_fact,
            reorder,
            early,
            short_delivery=short_delivery,
            return_missing=missing,
            return_scrap=scrap,
            return_reject=reject,
        )
        settings = process_settings(json_logs=json)
        configure_telemetry(settings, process="returns")

        async def play(stop: asyncio.Event) -> None:
            async with open_role(settings, RETURNS_DESK, world, group_prefix=group_prefix) as process:
                await process.run(stop)

        serve(play)
