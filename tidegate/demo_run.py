"""A run of the demo on servers that answer."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from rich.console import Console
from rich.live import Live
from rich.text import Text

from infra.settings import Settings
from services.goods import StockRow
from services.ims.stock_file import read_stock_file
from services.orders import OrderSubmission
from services.upstream import Simulation
from services.upstream.generator import generate_orders, generate_stock
from services.upstream.order_file import read_order_file
from tidegate.console import note
from tidegate.demo_options import DemoOptions, Scenario
from tidegate.loop import NotSettledError, running_loop
from tidegate.progress import Progress
from tidegate.result import RunResult
from tidegate.tour import Tour
from tidegate.tour_lines import read_lines
from tidegate.wiring.services import open_services, open_storefront

_LINE_EVERY = 2.0
_SELL_EVERY = 0.5


async def run_on(settings: Settings, options: DemoOptions) -> RunResult:
    """Load stock, sell orders, watch them to their end, audit the run. No process of it outlives the call.

    The servers have been prepared: :func:`tidegate.bootstrap.prepare`.
    """
    stock, orders = goods(options)
    everything = options.scenario is Scenario.ALL
    async with running_loop(
        settings,
        upstream_options=options.upstream_options(),
        label_options=options.label_options(),
        everything=everything,
        prepared=True,
    ) as loop:
        async with open_services(loop.settings) as services:
            await services.ims.load(options.load_id, stock)
        with _watching() as watch:
            busy = [asyncio.create_task(_sell(loop.settings, options, orders))]
            if everything:
                name = f"{options.seed}-{round(time.time())}"
                busy.append(asyncio.create_task(Tour(loop.settings, name, note).go()))
            try:
                await loop.settle(
                    seconds=options.timeout_seconds, watch=watch, not_before=partial(_have_ended, busy)
                )
            except NotSettledError as stuck:
                note(str(stuck))
            finally:
                for task in busy:
                    task.cancel()
                await asyncio.gather(*busy, return_exceptions=True)
        result = await loop.result()
        return replace(result, workflows=await read_lines(settings)) if everything else result


def _have_ended(busy: Sequence[asyncio.Task[None]]) -> bool:
    """Whether all have; what went wrong in one of them ends the demo."""
    ended = [task for task in busy if task.done()]
    for task in ended:
        task.result()
    return len(ended) == len(busy)


async def _sell(settings: Settings, options: DemoOptions, orders: Sequence[OrderSubmission]) -> None:
    """Let the storefront take ``orders`` at the rate that was asked for, half a second's worth at a time."""
    rate = options.orders_per_second
    at_once = max(1, round(rate * _SELL_EVERY)) if rate else len(orders)
    world = Simulation(options.seed, duplicate=options.duplicates, duplicate_fact=options.duplicates)
    async with open_storefront(settings, world) as storefront:
        for begin in range(0, len(orders), at_once):
            await storefront.submit(orders[begin : begin + at_once])
            if begin + at_once < len(orders):
                await asyncio.sleep(at_once / rate)


def goods(options: DemoOptions) -> tuple[Sequence[StockRow], Sequence[OrderSubmission]]:
    """The stock and the orders of a run: from the files that were given, or made from the seed."""
    if options.orders_file is not None and options.stock_file is not None:
        return read_stock_file(options.stock_file), read_order_file(options.orders_file)
    orders = generate_orders(options.orders, options.seed, prefix="demo")
    return generate_stock(orders), orders


@contextmanager
def _watching() -> Iterator[Callable[[Progress], None]]:
    """Shows progress on standard error: one line that changes on a terminal, a line now and then elsewhere."""
    console = Console(stderr=True)
    if sys.stderr.isatty():
        with Live(Text("starting"), console=console, refresh_per_second=4) as live:
            yield lambda progress: live.update(Text(progress.line()))
        return
    last = 0.0

    def watch(progress: Progress) -> None:
        nonlocal last
        if progress.settled or time.monotonic() - last >= _LINE_EVERY:
            last = time.monotonic()
            note(progress.line())

    yield watch
