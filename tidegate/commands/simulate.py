"""``tidegate simulate``: storefront, warehouse floor, carrier and supplier, as processes that know only Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import structlog
import typer

from infra.settings import Settings
from infra.telemetry import configure_telemetry
from services.upstream import Simulation
from services.upstream.carrier import CARRIER
from services.upstream.floor import FLOOR
from services.upstream.generator import generate_checkouts, generate_orders
from services.upstream.role import Role
from services.upstream.supplier import SUPPLIER
from tidegate.bootstrap import process_environment
from tidegate.commands import simulate_fraud, simulate_payments, simulate_returns
from tidegate.console import JsonLogsOption, process_settings, serve
from tidegate.processes import upstream_processes
from tidegate.supervisor import ProcessSpec, Supervisor
from tidegate.wiring.services import open_role, open_storefront

_MOST_AT_ONCE = 500

Seed = Annotated[int, typer.Option(help="Decides everything that is left to chance.")]
Delay = Annotated[float, typer.Option(min=0.0, help="Mean seconds of each piece of work.")]
Duplicate = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of events that come again.")]
DuplicateFact = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share of facts reported again under a new event id.")
]
Reorder = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of orders packed before picked.")]
Early = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share of picks and packs reported before there is a wave.")
]
ShortDelivery = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share of lots of which the supplier delivers only a part.")
]
WithSupplier = Annotated[bool, typer.Option("--with-supplier", help="Play the supplier in this process too.")]
GroupPrefix = Annotated[str, typer.Option(help="Start of the consumer group's name.")]
Orders = Annotated[int, typer.Option(min=0, help="How many orders to submit; 0 goes on until stopped.")]
Rate = Annotated[float, typer.Option(min=0.001, help="Orders a second.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    simulate = typer.Typer(
        no_args_is_help=True,
        help="Play the outside world: storefront, floor, carrier, supplier. The same seed, the same world.",
    )
    app.add_typer(simulate, name="simulate")
    simulate_payments.register(simulate)
    simulate_returns.register(simulate)
    simulate_fraud.register(simulate)

    @simulate.command()
    def storefront(
        orders: Orders = 0,
        rate: Rate = 5.0,
        seed: Seed = 1,
        duplicate: Duplicate = 0.0,
        duplicate_fact: DuplicateFact = 0.0,
        paid: Annotated[
            bool, typer.Option("--paid", help="Submit checkouts: orders that are paid for.")
        ] = False,
        json: JsonLogsOption = False,
    ) -> None:
        """Submit generated orders at a rate. Killed and started again, it goes on where it was.

        Example: `tidegate simulate storefront --orders 100 --rate 20 --seed 7`
        """
        world = Simulation(seed, duplicate=duplicate, duplicate_fact=duplicate_fact)
        settings = _settings("storefront", json_logs=json)
        serve(lambda stop: _sell(settings, world, orders, rate, stop, paid=paid))

    @simulate.command()
    def floor(
        seed: Seed = 1,
        delay: Delay = 0.2,
        duplicate: Duplicate = 0.0,
        duplicate_fact: DuplicateFact = 0.0,
        reorder: Reorder = 0.0,
        early: Early = 0.0,
        short_delivery: ShortDelivery = 0.0,
        group_prefix: GroupPrefix = "tidegate-",
        json: JsonLogsOption = False,
    ) -> None:
        """Pick and pack every wave, and report it (PickCompleted, PackCompleted).

        The floor gets its goods from the shelf: --short-delivery is taken and changes nothing.

        Example: `tidegate simulate floor --delay 2 --duplicate 0.05 --reorder 0.05 --early 0.02 --seed 7`
        """
        world = Simulation(
            seed, delay, duplicate, duplicate_fact, reorder, early, short_delivery=short_delivery
        )
        settings = _settings("floor", json_logs=json)
        serve(lambda stop: _play(settings, FLOOR, world, group_prefix, stop))

    @simulate.command()
    def carrier(
        seed: Seed = 1,
        delay: Delay = 0.2,
        duplicate: Duplicate = 0.0,
        duplicate_fact: DuplicateFact = 0.0,
        reorder: Reorder = 0.0,
        early: Early = 0.0,
        short_delivery: ShortDelivery = 0.0,
        with_supplier: WithSupplier = False,
        group_prefix: GroupPrefix = "tidegate-",
        json: JsonLogsOption = False,
    ) -> None:
        """Deliver every confirmed shipment, and report it (ShipmentDelivered).

        A delivery is one report an order: --reorder and --early are taken and change nothing. Labels are
        refused inside the SMS worker: TIDEGATE_SIMULATION__LABEL_FAILURE=0.1 TIDEGATE_SIMULATION__SEED=7.

        Example: `tidegate simulate carrier --delay 2 --duplicate 0.05 --seed 7`
        """
        world = Simulation(
            seed, delay, duplicate, duplicate_fact, reorder, early, short_delivery=short_delivery
        )
        roles = (CARRIER, SUPPLIER) if with_supplier else (CARRIER,)
        settings = _settings("carrier", json_logs=json)
        serve(lambda stop: _play_together(settings, roles, world, group_prefix, stop))

    @simulate.command()
    def supplier(
        seed: Seed = 1,
        delay: Delay = 0.2,
        duplicate: Duplicate = 0.0,
        duplicate_fact: DuplicateFact = 0.0,
        short_delivery: ShortDelivery = 0.0,
        group_prefix: GroupPrefix = "tidegate-",
        json: JsonLogsOption = False,
    ) -> None:
        """Deliver every lot that IMS orders, and report it (ReplenishmentReceived); sometimes only a part of it.

        Example: `tidegate simulate supplier --delay 2 --short-delivery 0.3 --seed 7`
        """
        world = Simulation(seed, delay, duplicate, duplicate_fact, short_delivery=short_delivery)
        settings = _settings("supplier", json_logs=json)
        serve(lambda stop: _play(settings, SUPPLIER, world, group_prefix, stop))

    @simulate.command(name="all")
    def everything(
        orders: Orders = 0,
        rate: Rate = 5.0,
        seed: Seed = 1,
        delay: Delay = 0.2,
        duplicate: Duplicate = 0.0,
        duplicate_fact: DuplicateFact = 0.0,
        reorder: Reorder = 0.0,
        early: Early = 0.0,
        short_delivery: ShortDelivery = 0.0,
        json: JsonLogsOption = False,
    ) -> None:
        """Play storefront, floor, carrier and supplier until stopped, the last two in one process.

        Example: `tidegate simulate all --rate 2 --delay 1 --seed 7`
        """
        world = Simulation(seed, delay, duplicate, duplicate_fact, reorder, early)
        settings = _settings("storefront", json_logs=json)
        options = (
            *("--seed", seed, "--delay", delay, "--duplicate", duplicate, "--duplicate-fact", duplicate_fact),
            *("--reorder", reorder, "--early", early, "--short-delivery", short_delivery),
        )
        words = tuple(str(option) for option in options)
        serve(lambda stop: _play_all(settings, upstream_processes(words), world, orders, rate, stop))


def _settings(process: str, *, json_logs: bool) -> Settings:
    settings = process_settings(json_logs=json_logs)
    configure_telemetry(settings, process=process)
    return settings


async def _play(
    settings: Settings, role: Role, world: Simulation, group_prefix: str, stop: asyncio.Event
) -> None:
    async with open_role(settings, role, world, group_prefix=group_prefix) as process:
        await process.run(stop)


async def _play_together(
    settings: Settings, roles: Sequence[Role], world: Simulation, group_prefix: str, stop: asyncio.Event
) -> None:
    """Play several roles in one process: those that have little to do need none of their own."""
    async with asyncio.TaskGroup() as playing:
        for role in roles:
            playing.create_task(_play(settings, role, world, group_prefix, stop))


async def _sell(
    settings: Settings,
    world: Simulation,
    orders: int,
    rate: float,
    stop: asyncio.Event,
    *,
    paid: bool = False,
) -> None:
    """Submit order after order. What an earlier run with this seed submitted is passed over at full speed."""
    log = structlog.get_logger()
    async with open_storefront(settings, world) as storefront:
        log.info("ready", rate=rate, orders=orders or "until stopped")
        size = max(1, min(_MOST_AT_ONCE, round(rate)))
        done = 0
        while not stop.is_set() and (orders == 0 or done < orders):
            number = min(size, orders - done) if orders else size
            if paid:
                checkouts = generate_checkouts(number, world.seed, start=done, prefix="simulated-paid")
                result = await storefront.submit_checkouts(checkouts)
            else:
                result = await storefront.submit(
                    generate_orders(number, world.seed, start=done, prefix="simulated")
                )
            done += number
            if result.submitted:
                log.info("submitted", orders=result.submitted, so_far=done)
                await _pause(stop, result.submitted / rate)
        if orders and not stop.is_set():
            log.info("all submitted", orders=orders)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return


async def _play_all(
    settings: Settings,
    specs: Sequence[ProcessSpec],
    world: Simulation,
    orders: int,
    rate: float,
    stop: asyncio.Event,
) -> None:
    supervisor = Supervisor(
        specs, log_folder=settings.home / "logs", environment=process_environment(settings)
    )
    await supervisor.start()
    try:
        structlog.get_logger().info(
            "running", processes=[spec.name for spec in specs], logs=str(settings.home / "logs")
        )
        await _sell(settings, world, orders, rate, stop)
        await stop.wait()
    finally:
        await supervisor.stop()
