"""Activities that fail do not fail workflows: a small soak in `make test`, the whole one as `make soak`."""

from __future__ import annotations

import json

import pytest
from rich.console import Console
from rich.table import Table

from tests.soak.faults import AFTER, BEFORE, LOST, InjectedFaults
from tests.soak.soak import SoakResult, soaking

SHARE = 0.05
ALLOWED = 0.001


async def test_faults_in_activities_fail_no_workflow(postgres_dsn: str, temporal_address: str) -> None:
    """100 workflows, 5 % of all attempts spoilt before or after their effect: all end as they should, nothing is done
    twice. Attempts that time out need half a minute each, and are left to `make soak` and the fault tests."""
    faults = InjectedFaults(SHARE, seed=7, kinds=(BEFORE, AFTER))
    async with soaking(temporal_address, postgres_dsn, faults, stock=50) as soak:
        result = await soak.run(100)
    assert result.workflows == 100
    assert result.failed == {}
    assert result.doubled == ()
    assert set(result.faults) == {BEFORE, AFTER}


async def test_a_soak_notices_workflows_that_fail(
    postgres_dsn: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The measure can speak: where a service refuses for good, each workflow that fails is counted."""
    faults = InjectedFaults(SHARE, seed=7, kinds=(BEFORE, AFTER))
    async with soaking(temporal_address, postgres_dsn, faults, stock=1) as soak:
        monkeypatch.setattr("tests.soak.soak.OrderLineInput", _unknown_goods)
        result = await soak.run(8)
    assert sum(result.failed.values()) == 4
    assert result.failure_rate == 0.5
    assert result.doubled != ()


def _unknown_goods(_: str, *rest: object) -> object:
    from workflows.contracts.orders import OrderLineInput

    return OrderLineInput("no-such-thing", *rest)  # type: ignore[arg-type]


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_five_thousand_workflows(
    postgres_dsn: str, temporal_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """5,000 workflows, 5 % of all attempts spoilt before their effect, after it, or by a timeout after it: fewer than
    0.1 % fail, and nothing is done twice."""
    faults = InjectedFaults(SHARE, seed=1)
    async with soaking(temporal_address, postgres_dsn, faults, stock=2500) as soak:
        result = await soak.run(5000)
    with capsys.disabled():
        show(result)
    assert result.workflows == 5000
    assert result.failure_rate < ALLOWED, result.failed
    assert result.doubled == ()
    assert set(result.faults) == {BEFORE, AFTER, LOST}
    assert 0.8 * SHARE < result.fault_rate < 1.2 * SHARE


def show(result: SoakResult) -> None:
    """A table for people, and one JSON object on a line of its own."""
    table = Table(title="Soak", title_justify="left", show_edge=False, show_header=False)
    table.add_row("workflows", f"{result.workflows}")
    table.add_row(
        "failed", f"{sum(result.failed.values())} ({result.failure_rate:.3%}; allowed: under {ALLOWED:.1%})"
    )
    for what, count in result.failed.items():
        table.add_row(f"  {what}", f"{count}")
    table.add_row("attempts of activities", f"{result.attempts}")
    table.add_row("spoilt", f"{sum(result.faults.values())} ({result.fault_rate:.1%})")
    for what, count in result.faults.items():
        table.add_row(f"  {what}", f"{count}")
    table.add_row("done twice, or left over", "; ".join(result.doubled) or "nothing")
    table.add_row("seconds", f"{result.seconds}")
    table.add_row("workflows a second", f"{result.workflows_per_second}")
    Console(width=120).print("\n", table)
    print(json.dumps(result.as_dict()))
