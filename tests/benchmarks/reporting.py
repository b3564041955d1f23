"""What a benchmark says in the end: tables, a chart, the figures wanted; on the terminal, as JSON, in the docs.

A figure that could not be measured is None, and its reason stands beside it; the other figures are there all the same.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

from tests.benchmarks.machine import described

DOCS: Final = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a figure should be: ``at_least`` or ``at_most`` a number."""

    at_least: float | None = None
    at_most: float | None = None

    def met(self, value: float | None) -> bool:
        """Whether ``value`` is as it should be; never where nothing was measured."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    def __str__(self) -> str:
        parts = [f"≥ {self.at_least:,g}"] if self.at_least is not None else []
        parts += [f"≤ {self.at_most:,g}"] if self.at_most is not None else []
        return " and ".join(parts)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading; numbers are written as a person reads them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]

    def markdown(self) -> str:
        """As it stands in the docs."""
        lines = [f"**{self.title}**", "", _line(self.columns), _line(["---"] * len(self.columns))]
        return "\n".join([*lines, *(_line([text(cell) for cell in row]) for row in self.rows)])


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar chart: names and numbers of one unit."""

    title: str
    unit: str
    bars: Sequence[tuple[str, float]]


@dataclass(slots=True)
class Report:
    """What one run found. ``name`` is the make target, ``keys`` are what the JSON line always has, ``wanted`` their
    bounds."""

    name: str
    keys: Sequence[str]
    wanted: Mapping[str, Wanted]
    figures: dict[str, Any] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    charts: list[Bars] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    async def part(self, name: str, work: Callable[[], Awaitable[None]], *, patience: float) -> None:
        """Do one part of the benchmark; one that fails or takes longer than ``patience`` seconds is named."""
        print(f"{self.name}: {name} …", flush=True)
        begin = time.monotonic()
        try:
            async with asyncio.timeout(patience):
                await work()
        except Exception as error:
            self.failures[name] = reason_of(error)
            print(f"{self.name}: {name} FAILED: {self.failures[name]}", flush=True)
        self.seconds[name] = round(time.monotonic() - begin, 1)

    def json_line(self) -> str:
        """One object: every key, null where nothing was measured, and what stands beside."""
        found = {key: self.figures.get(key) for key in self.keys}
        missed = [key for key, bound in self.wanted.items() if not bound.met(self.figures.get(key))]
        return json.dumps(
            {
                **found,
                **self.figures,
                "missed": missed,
                "failures": self.failures,
                "seconds": self.seconds,
                "machine": described(),
            }
        )

    def summary(self) -> Table:
        """Every figure that is wanted, and whether it is as it should be."""
        rows = [
            (key, self.figures.get(key), str(bound), "yes" if bound.met(self.figures.get(key)) else "no")
            for key, bound in self.wanted.items()
        ]
        return Table("What is wanted", ("figure", "measured", "wanted", "met"), rows)

    def markdown(self) -> str:
        """The section of the docs, without the chart."""
        day = datetime.now(UTC).date().isoformat()
        parts = [
            f"`make {self.name}`, {day}, {described()}; {sum(self.seconds.values()):.0f} seconds in all."
        ]
        parts += [table.markdown() for table in (*self.tables, self.summary())]
        if self.failures:
            parts.append(
                "Not measured: " + "; ".join(f"{name} ({why})" for name, why in self.failures.items())
            )
        return "\n\n".join(parts)

    def write_docs(self) -> None:
        """Replace the section between this benchmark's marks in docs/benchmarks.md, and its chart."""
        page = DOCS / "benchmarks.md"
        begin, end = f"<!-- {self.name}: begin -->", f"<!-- {self.name}: end -->"
        before, _, rest = page.read_text().partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"{page} has no marks {begin} and {end}")
        image = f"images/{self.name}.svg"
        section = f"{begin}\n\n{self.markdown()}\n\n![{self.name}]({image})\n\n{end}"
        page.write_text(before + section + after)
        (DOCS / "images").mkdir(exist_ok=True)
        (DOCS / image).write_text(svg(self.charts))

    def show(self) -> None:
        """Print everything for a person."""
        print(f"\n{self.markdown()}\n")
        for chart in self.charts:
            print(bar_text(chart))


def reason_of(error: BaseException) -> str:
    """One line that says what went wrong; of several errors the first."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return " ".join(f"{type(error).__name__}: {error}".split())[:500]


def text(value: Any) -> str:
    """A cell."""
    match value:
        case None:
            return "not measured"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case float():
            return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
        case _:
            return str(value)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def bar_text(chart: Bars) -> str:
    """A bar chart for a terminal."""
    most = max((value for _, value in chart.bars), default=0.0) or 1.0
    width = max((len(name) for name, _ in chart.bars), default=0)
    lines = [f"{chart.title} ({chart.unit})"]
    lines += [
        f"  {name:{width}} {'█' * max(1, round(40 * value / most))} {text(value)}"
        for name, value in chart.bars
    ]
    return "\n".join(lines)


_ROW, _LEFT, _WIDE, _MARGIN = 24, 250, 700, 12


def svg(charts: Sequence[Bars]) -> str:
    """The same charts as one picture, one below the other, readable on a light and on a dark page."""
    parts: list[str] = []
    top = _MARGIN
    for chart in charts:
        most = max((value for _, value in chart.bars), default=0.0) or 1.0
        parts.append(
            f'<text x="{_MARGIN}" y="{top + 16}" class="t">{escape(chart.title)} ({escape(chart.unit)})</text>'
        )
        top += _ROW + 4
        for number, (name, value) in enumerate(chart.bars):
            length = max(2.0, (_WIDE - _LEFT - 110) * value / most)
            parts.append(f'<text x="{_LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>')
            parts.append(
                f'<rect x="{_LEFT}" y="{top + 3}" width="{length:.1f}" height="16" class="b{number % 2}"/>'
            )
            parts.append(f'<text x="{_LEFT + length + 6:.1f}" y="{top + 15}">{text(value)}</text>')
            top += _ROW
        top += _MARGIN
    style = (
        "text{font:13px sans-serif;fill:#24292f}.t{font-weight:bold}.b0{fill:#2f81f7}.b1{fill:#8b949e}"
        "@media(prefers-color-scheme:dark){text{fill:#d0d7de}}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE}" height="{top}" viewBox="0 0 {_WIDE} {top}">'
        f"<style>{style}</style>{''.join(parts)}</svg>\n"
    )
