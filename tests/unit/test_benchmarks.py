"""The two benchmarks: their options, and what they say in the end. Nothing is measured here."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks import bench_bridge, bench_relay, reporting
from tests.benchmarks.delays import Delays
from tests.benchmarks.reporting import Bars, Report, Table, Wanted


@pytest.mark.parametrize("benchmark", [bench_relay, bench_bridge])
def test_the_options_are_those_of_the_make_targets(benchmark: object) -> None:
    """`--quick`, `--json` and `--write-docs` reach both."""
    options = benchmark.parser().parse_args(["--quick", "--json", "--write-docs"])  # type: ignore[attr-defined]
    assert (options.quick, options.json, options.write_docs) == (True, True, True)


async def test_a_part_that_fails_is_named_and_the_others_go_on() -> None:
    """The JSON line has every key, null where nothing was measured, and the reason."""
    report = Report("bench-relay", bench_relay.KEYS, bench_relay.WANTED)

    async def broken() -> None:
        raise ExceptionGroup("several", [RuntimeError("no\nserver")])

    async def whole() -> None:
        report.figures["dead_tuples"] = 0

    await report.part("first", broken, patience=5)
    await report.part("second", whole, patience=5)
    line = json.loads(report.json_line())
    assert set(bench_relay.KEYS) <= line.keys()
    assert (line["dead_tuples"], line["p50_ratio"]) == (0, None)
    assert line["failures"] == {"first": "RuntimeError: no server"}
    assert set(line["missed"]) == set(bench_relay.WANTED) - {"dead_tuples"}


def test_the_docs_get_the_table_and_the_chart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands between the marks is replaced, the rest stays."""
    monkeypatch.setattr(reporting, "DOCS", tmp_path)
    page = tmp_path / "benchmarks.md"
    page.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    report = Report("x", ("a",), {"a": Wanted(at_least=2)}, figures={"a": 3.0})
    report.tables.append(Table("Rows & columns", ("name", "value"), [("one", 1234.5), ("two", None)]))
    report.charts.append(Bars("A <chart>", "rows/s", [("one", 1234.5), ("two", 3)]))
    report.write_docs()
    written = page.read_text()
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| one | 1,234 |" in written
    assert "| two | not measured |" in written
    assert "| a | 3 | ≥ 2 | yes |" in written
    ElementTree.fromstring((tmp_path / "images/x.svg").read_text())  # noqa: S314 - we have just written it


def test_the_marks_stand_in_the_docs() -> None:
    """`--write-docs` finds its place."""
    page = (reporting.DOCS / "benchmarks.md").read_text()
    for name in ("bench-relay", "bench-bridge"):
        assert f"<!-- {name}: begin -->" in page
        assert f"<!-- {name}: end -->" in page


def test_percentiles() -> None:
    """Of a thousand delays the 99th percentile is exceeded by ten."""
    found = Delays.of([number / 1000 for number in range(1, 1001)])
    assert (round(found.p50, 1), round(found.p99), round(found.longest)) == (500.5, 990, 1000)
