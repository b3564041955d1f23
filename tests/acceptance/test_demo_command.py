"""``tidegate demo`` as a user starts it, on servers of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.waiting import until
from workflows.contracts import WORKFLOWS

pytestmark = pytest.mark.timeout(1500)

FIELDS = {
    "orders", "shipped", "failed", "cancelled", "waiting", "events_published", "signals_delivered", "lost",
    "duplicate_effects", "out_of_order", "seconds", "order_ms",
}  # fmt: skip


async def _start(home: Path, *words: str) -> asyncio.subprocess.Process:
    environment: Mapping[str, str] = {**os.environ, "TIDEGATE_HOME": str(home)}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tidegate", "demo", *words),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def _left_running(home: Path) -> list[str]:
    """Processes that work for the run in ``home``."""
    found = []
    for process in psutil.process_iter():
        try:
            words = " ".join(process.cmdline())
            if str(home) in words or process.environ().get("TIDEGATE_HOME") == str(home):
                found.append(words)
        except psutil.Error:
            continue
    return found


async def _demo(home: Path, *words: str) -> Run:
    process = await _start(home, *words, "--json")
    output, errors = await process.communicate()
    assert output, errors.decode()
    result = json.loads(output.decode().splitlines()[-1])
    return Run(process.returncode or 0, result, home, errors.decode())


@dataclass(frozen=True, slots=True)
class Run:
    """A demo that has ended: its exit status, its last line, where it ran, and what it told people."""

    status: int
    result: dict[str, Any]
    home: Path
    told: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def everything(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """``--scenario all`` beside fifty orders from a file, the stock a fiftieth of what they ask for.

    The supplier delivers some lots only in part, facts come twice, kits are made from parts.
    """
    folder = tmp_path_factory.mktemp("demo")
    skus = [*(["LEG", "SHORT", "KIT"] * 16), "LEG", "NOBODY-SELLS-THIS"]
    lines = [
        {"request_id": f"file-{number}", "customer_id": "c-1", "currency": "EUR", "ordered_at": "2026-01-02T03:04:05Z",
         "lines": [{"sku": sku, "quantity": 5, "unit_price": "10.00", "discount": "0.15"}]}
        for number, sku in enumerate(skus)
    ]  # fmt: skip
    orders, stock, home = folder / "orders.jsonl", folder / "stock.csv", folder / "home"
    orders.write_text("\n".join(map(json.dumps, lines)))
    stock.write_text("sku,on_hand,reorder_point,components\nLEG,10,5,\nSHORT,1,0,\nKIT,0,0,LEG:2;SHORT:1\n")
    world = ("--delay", "0", "--short-deliveries", "0.5", "--duplicates", "0.2", "--seed", "3", "--rate", "0")
    return await _demo(home, "--scenario", "all", "--input", str(orders), "--stock", str(stock), *world)


async def test_orders_from_files_ship_however_short_the_stock_is(everything: Run) -> None:
    """An unknown item fails; everything else ships: the shortage is replenished until nobody waits (issue 4,
    "Replenishment"). Two orders more are those of the scenario: one from a cart, one of an item that is short.
    """
    result = everything.result
    ends = [result[name] for name in ("orders", "shipped", "failed", "cancelled", "waiting")]
    assert ends == [52, 51, 1, 0, 0]
    assert [result[name] for name in ("lost", "duplicate_effects", "out_of_order")] == [0, 0, 0]
    assert everything.status == 0
    assert _left_running(everything.home) == []


async def test_every_workflow_is_driven_to_its_end(everything: Run) -> None:
    """A line for each workflow that there is, each COMPLETED, with the events that came in and went out."""
    assert set(everything.result) == {*FIELDS, "workflows"}
    lines = {line["workflow"]: line for line in everything.result["workflows"]}
    assert set(lines) == {contract.name for contract in WORKFLOWS}
    assert {name: set(line["endings"]) for name, line in lines.items()} == {
        name: {"COMPLETED"} for name in lines
    }
    assert set(lines["CheckoutWorkflow"]["events_in"]) == {"CheckoutRequested", "FraudDecided"}
    assert "CheckoutCompleted" in lines["CheckoutWorkflow"]["events_out"]
    assert "OrderDelivered" in lines["OrderWorkflow"]["events_out"]
    assert "PaymentCaptured" in lines["PaymentWorkflow"]["events_out"]
    assert {"ReturnReceived", "ReturnInspected"} <= set(lines["ReturnWorkflow"]["events_in"])
    assert {"PaymentRefunded", "ReturnCompleted"} <= set(lines["ReturnWorkflow"]["events_out"])


async def test_a_demo_that_goes_well_warns_of_nothing(everything: Run) -> None:
    """What is merely waited for is no warning: a first look at the demo shows no failure that is none."""
    assert "checkout " in everything.told
    assert "warning" not in everything.told.lower()
    assert "Error" not in everything.told


@pytest.mark.parametrize(
    ("number", "log"),
    [(signal.SIGINT, "bridge.log"), (signal.SIGTERM, "bridge.log"), (signal.SIGTERM, "kafka.log")],
    ids=["Ctrl-C in a run", "SIGTERM in a run", "SIGTERM while the servers start"],
)
async def test_a_demo_that_is_stopped_leaves_nothing_running(
    tmp_path: Path, number: signal.Signals, log: str
) -> None:
    """Ctrl-C or SIGTERM in the middle of a run, or before it has begun, ends every process and server of it."""
    home = tmp_path / "home"
    process = await _start(home, "--orders", "50", "--delay", "60")
    await until(lambda: (home / "logs" / log).exists() or process.returncode is not None, seconds=200)
    if process.returncode is None:
        process.send_signal(number)
    _, errors = await process.communicate()
    assert process.returncode == 128 + number, errors.decode()
    assert b"Traceback" not in errors
    await until(lambda: _left_running(home) == [], seconds=60, every=0.5)


async def test_input_without_stock_is_misuse(tmp_path: Path) -> None:
    """One line, status 2, and nothing started."""
    process = await _start(tmp_path / "home", "--input", str(tmp_path / "orders.jsonl"))
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode().splitlines() == [
        "tidegate: --input and --stock go together: the orders' items must be in the stock"
    ]


async def test_a_demo_that_would_delete_kept_data_is_refused(tmp_path: Path) -> None:
    """``--keep`` in a home that holds an earlier stack's data: one line, status 2, and the data stays."""
    home = tmp_path / "home"
    kept = home / "data" / "precious"
    kept.mkdir(parents=True)
    process = await _start(home, "--keep")
    _, errors = await process.communicate()
    assert process.returncode == 2
    [line] = errors.decode().splitlines()
    assert str(home / "data") in line
    assert "tidegate up --fresh" in line
    assert kept.is_dir()
