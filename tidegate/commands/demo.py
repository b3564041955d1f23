"""``tidegate demo``: the whole loop on one machine, and the proof that it adds up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.errors import InvalidInputError, MisuseError
from infra.running import read_state
from infra.settings import Settings
from infra.telemetry import configure_logging
from tidegate.console import JsonOption, emit_json, emit_table, run, say
from tidegate.demo import run_demo
from tidegate.demo_options import DemoOptions, Scenario

if TYPE_CHECKING:
    from tidegate.result import RunResult


def _share(what: str) -> Any:
    return typer.Option(0.0, min=0.0, max=1.0, help=what)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def demo(
        scenario: Scenario = typer.Option(  # noqa: B008 - typer's way
            Scenario.DIRECT, help="Orders that nobody pays for here, or beside them every workflow once."
        ),
        orders: int = typer.Option(20, min=1, help="How many orders the generator makes."),
        input_file: Annotated[
            Path | None,
            typer.Option("--input", help="Orders, one JSON object a line, instead of the generator's."),
        ] = None,
        stock_file: Annotated[
            Path | None, typer.Option("--stock", help="Stock, CSV: sku,on_hand,reorder_point[,components].")
        ] = None,
        seed: int = typer.Option(
            1, help="Decides the orders, the delays and the faults of the outside world."
        ),
        duplicates: Annotated[
            float,
            typer.Option(
                min=0.0,
                max=1.0,
                help="Share of facts reported twice: the same event, and under a new event id.",
            ),
        ] = 0.0,
        reordered: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of orders reported packed before picked.")
        ] = 0.0,
        early: Annotated[
            float,
            typer.Option(min=0.0, max=1.0, help="Share of picks and packs reported before there is a wave."),
        ] = 0.0,
        label_failures: Annotated[
            float, typer.Option(min=0.0, max=1.0, help="Share of labels refused at each try.")
        ] = 0.0,
        short_deliveries: Annotated[
            float,
            typer.Option(min=0.0, max=1.0, help="Share of lots of which the supplier delivers only a part."),
        ] = 0.0,
        delay: float = typer.Option(
            0.2, min=0.0, help="Seconds that the floor needs for a pick, and for a pack."
        ),
        rate: float = typer.Option(
            2.0,
            min=0.0,
            help="Orders that the storefront sells a second; 0: all at once. Two cores that run the servers too keep "
            "up with 2 to 3: more than that queue, and the first ships later.",
        ),
        timeout: float = typer.Option(
            900.0, min=1.0, help="Seconds after which the run is given up as stuck."
        ),
        keep: bool = typer.Option(False, "--keep", help="Leave the servers up, to look around."),
        json: JsonOption = False,
    ) -> None:
        """Watch real orders go through PostgreSQL, Kafka, the registry and Temporal and come out shipped.

        Starts the servers if none run, loads stock, submits orders, runs every process, shows progress, ends when
        nothing is in flight, audits the run, and leaves nothing running. Exit status 1 if anything does not add
        up. `--duplicates`, `--reordered`, `--early` and `--label-failures` are shares (0 to 1) of the facts that
        the simulated outside world reports twice, in the wrong order, too soon, or not at the first try.

        Example: `tidegate demo --orders 200 --seed 7 --duplicates 0.05 --reordered 0.05 --early 0.02`
        """
        if (input_file is None) != (stock_file is None):
            raise MisuseError("--input and --stock go together: the orders' items must be in the stock")
        for path in (input_file, stock_file):
            if path is not None and not path.is_file():
                raise InvalidInputError(f"{path}: no such file")
        settings = Settings()
        if settings.log_level == "info":
            settings.log_level = "warning"
        configure_logging(settings, process="demo")
        options = DemoOptions(
            scenario=scenario,
            orders=orders,
            orders_file=input_file,
            stock_file=stock_file,
            seed=seed,
            duplicates=duplicates,
            reordered=reordered,
            early=early,
            label_failures=label_failures,
            short_deliveries=short_deliveries,
            delay_seconds=delay,
            orders_per_second=rate,
            timeout_seconds=timeout,
            keep=keep,
        )
        result = run(run_demo(settings, options))
        if json:
            emit_json(result.as_json())
        else:
            _print(result, settings, keep=keep)
        if not result.adds_up:
            raise typer.Exit(1)


def _print(result: RunResult, settings: Settings, *, keep: bool) -> None:
    figures = result.as_json()
    order_ms = figures.pop("order_ms")
    figures.pop("workflows", None)  # a table of their own
    rows = [{"what": name.replace("_", " "), "figure": value} for name, value in figures.items()]
    rows += [{"what": f"order, {name} ms", "figure": value} for name, value in order_ms.items()]
    emit_table("the run", rows, ("what", "figure"))
    if result.workflows:
        emit_table(
            "the workflows",
            [line.as_row() for line in result.workflows],
            ("workflow", "ended", "events in", "events out"),
        )
    for line in result.workflows:
        if not line.driven:
            say(f"{line.workflow} was not driven to its end: {', '.join(line.endings)}")
    for finding in result.findings:
        say(f"{finding.kind}: {finding.what}")
    for difference in result.analytics_differences:
        say(f"analytics: {difference}")
    if result.adds_up:
        say("the audit is clean: nothing lost, nothing twice, nothing out of order")
    elif not result.progress.settled:
        say(f"the run did not come to its end: {result.progress.line()}")
    else:
        say("the audit found what stands above")
    say(f"logs      {settings.home / 'logs'}")
    state = read_state(settings.home)
    if keep and state is not None:
        say(f"workflows {state.settings.get('temporal', {}).get('ui_url')}")
        say("look      `tidegate orders`, `tidegate status`; `tidegate down` ends the servers")
    else:
        say("look      `--keep` leaves the servers up, with Temporal's web UI")
