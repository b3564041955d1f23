"""``tidegate stock``: what stands on the shelf, and putting more there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from infra.errors import InvalidInputError
from infra.settings import Settings
from infra.telemetry import configure_logging
from services.ims import LoadResult, StockRow, StockView
from services.ims.stock_file import load_id_of, read_stock_file
from tidegate.console import JsonOption, emit_json, emit_table, note, run, say
from tidegate.wiring.services import open_services

_COLUMNS = (
    *("sku", "on_hand", "reserved", "consumed", "received", "awaited", "on_order", "reorder_point"),
    *("components", "discontinued"),
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    stock = typer.Typer(no_args_is_help=True, help="What stands on the shelf, and putting more there.")
    app.add_typer(stock, name="stock")

    @stock.command()
    def load(
        file: Annotated[
            Path, typer.Argument(help="CSV: sku,on_hand,reorder_point[,components]; see the example.")
        ],
        load_id: Annotated[
            str | None,
            typer.Option(help="Name of this delivery; a name counts once. Default: the file's digest."),
        ] = None,
        json: JsonOption = False,
    ) -> None:
        """Add the pieces in FILE to the stock, and serve the orders that wait for them.

        `on_hand` pieces come on top of what is there; `reorder_point` and `components` replace what was said before
        (no components leave them as they are). The same file again changes nothing; to receive the same delivery
        twice, give it a --load-id. All rows or none: a bad row is named with its line.

        Example: `tidegate stock load stock.csv`, with lines like `LEG,400,50` and `DESK,0,0,LEG:4;TOP:1`
        """
        settings = Settings()
        configure_logging(settings, process="stock")
        rows = read_stock_file(file)
        chosen = load_id or load_id_of(file)
        try:
            result = run(_load(settings, chosen, rows))
        except InvalidInputError as error:
            raise InvalidInputError(f"{file}: {error}") from error
        if json:
            emit_json(asdict(result))
        elif result.repeated:
            say(f"{file} was loaded before (load id {chosen}): nothing was added")
        else:
            say(
                f"{result.items} items, {result.pieces} pieces loaded; {len(result.served)} waiting orders served"
            )
        if result.repeated:
            note("to receive the same delivery once more, give it a name: --load-id")

    @stock.command()
    def discontinue(
        sku: Annotated[str, typer.Argument(help="The item that is no longer kept.")],
        json: JsonOption = False,
    ) -> None:
        """Stop keeping an item: no further order gets it, and it is not replenished any more.

        Orders that wait for pieces of it fail at once (AllocationFailed); pieces that are on the shelf still go to
        those who came first. Asked again, nothing more happens.

        Example: `tidegate stock discontinue DESK`
        """
        settings = Settings()
        configure_logging(settings, process="stock")
        failed = run(_discontinue(settings, sku))
        if json:
            emit_json({"sku": sku, "failed": list(failed)})
        else:
            say(f"{sku} is no longer kept; {len(failed)} waiting orders failed")

    @stock.command(name="list")
    def list_stock(
        sku: Annotated[str | None, typer.Argument(help="Only this item.")] = None,
        json: JsonOption = False,
    ) -> None:
        """Show the stock: on hand (free of reservations), reserved, consumed, received, awaited by orders, on order.

        Always: received = on hand + reserved + consumed.

        Example: `tidegate stock list` or `tidegate stock list DESK --json`
        """
        settings = Settings()
        configure_logging(settings, process="stock")
        items = run(_list(settings, sku))
        if sku is not None and not items:
            raise InvalidInputError(f"no item {sku} in stock; `tidegate stock list` shows what there is")
        if json:
            emit_json({"items": [asdict(item) for item in items]})
        else:
            emit_table(f"{len(items)} items", [_row(item) for item in items], _COLUMNS)


async def _load(settings: Settings, load_id: str, rows: tuple[StockRow, ...]) -> LoadResult:
    async with open_services(settings) as services:
        return await services.ims.load(load_id, rows)


async def _discontinue(settings: Settings, sku: str) -> tuple[str, ...]:
    async with open_services(settings) as services:
        return await services.ims.discontinue(sku)


async def _list(settings: Settings, sku: str | None) -> list[StockView]:
    async with open_services(settings) as services:
        return await services.ims.stock(sku)


def _row(item: StockView) -> dict[str, object]:
    return {
        **asdict(item),
        "components": ";".join(f"{sku}:{quantity}" for sku, quantity in item.components) or None,
        "discontinued": "yes" if item.discontinued else None,
    }
