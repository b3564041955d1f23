"""What the benchmarks' commands have in common: their options, and what becomes of a run."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from tests.benchmarks.reporting import Report

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ScaleT = TypeVar("ScaleT", bound="DataclassInstance")


def benchmark_options(name: str, description: str | None, *, rounds: str) -> argparse.ArgumentParser:
    """The options that each has; ``rounds`` says what one of its rounds is."""
    made = argparse.ArgumentParser(prog=name, description=description)
    made.add_argument("--quick", action="store_true", help="a small run, to see that it works")
    made.add_argument("--rounds", type=int, help=rounds)
    made.add_argument("--seconds", type=float, help="of each latency that is measured (15)")
    made.add_argument("--json", action="store_true", help="the last line is one JSON object")
    made.add_argument("--write-docs", action="store_true", help="put the tables and the chart into docs/")
    return made


def run_benchmark(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    measure: Callable[[ScaleT], Awaitable[Report]],
    *,
    quick: ScaleT,
    full: ScaleT,
) -> None:
    """Measure as asked and print. An option that is named as a field of the scale, and given, takes its place."""
    options = parser.parse_args(arguments)
    fields = {field.name for field in dataclasses.fields(full)}
    asked = {name: value for name, value in vars(options).items() if name in fields and value is not None}

    async def measured() -> Report:
        return await measure(dataclasses.replace(quick if options.quick else full, **asked))

    report = asyncio.run(measured())
    report.show()
    if options.write_docs:
        report.write_docs()
    if options.json:
        print(report.json_line())
