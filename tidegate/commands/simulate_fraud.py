"""``tidegate simulate fraud``: fraud detection, and the people who review what it cannot decide."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from infra.telemetry import configure_telemetry
from services.upstream import Simulation
from services.upstream.fraud import FRAUD
from tidegate.console import JsonLogsOption, process_settings, serve
from tidegate.wiring.services import open_role

Share = Annotated[float, typer.Option(min=0.0, max=1.0, help="Taken, and changes nothing here.")]


def register(simulate: typer.Typer) -> None:
    """Add the command to ``tidegate simulate``."""

    @simulate.command()
    def fraud(
        seed: Annotated[int, typer.Option(help="Decides everything that is left to chance.")] = 1,
        delay: Annotated[float, typer.Option(min=0.0, help="Mean seconds until a decision.")] = 0.2,
        duplicate: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of events that come again.")
        ] = 0.0,
        duplicate_fact: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of facts reported again under a new event id.")
        ] = 0.0,
        rejected: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of checkouts that are rejected.")
        ] = 0.0,
        review: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of checkouts that a person looks at.")
        ] = 0.0,
        review_rejected: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of the reviews that end in a rejection.")
        ] = 0.0,
        review_left: Annotated[
            float,
            typer.Option(min=0.0, max=1.0, help="Share of the reviews left to `tidegate checkout decide`."),
        ] = 0.0,
        reorder: Share = 0.0,
        early: Share = 0.0,
        short_delivery: Share = 0.0,
        group_prefix: Annotated[str, typer.Option(help="Start of the consumer group's name.")] = "tidegate-",
        json: JsonLogsOption = False,
    ) -> None:
        """Judge every checkout (FraudDecided), and review what was sent to review (ManualReviewDecided).

        Example: `tidegate simulate fraud --delay 2 --rejected 0.05 --review 0.1 --review-rejected 0.3 --seed 7`
        """
        world = Simulation(
            seed,
            delay,
            duplicate,
            duplicate_fact,
            reorder,
            early,
            short_delivery=short_delivery,
            fraud_rejected=rejected,
            fraud_review=review,
            review_rejected=review_rejected,
            review_left=review_left,
        )
        settings = process_settings(json_logs=json)
        configure_telemetry(settings, process="fraud")

        async def play(stop: asyncio.Event) -> None:
            async with open_role(settings, FRAUD, world, group_prefix=group_prefix) as process:
                await process.run(stop)

        serve(play)
