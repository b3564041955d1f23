"""The returns desk decides by seed and return only, and reports what it found."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from infra.errors import InvalidInputError
from schemas.events import ReturnApproved, ReturnInspected, ReturnLine, ReturnReceived, ReturnRequested
from services.upstream import Simulation
from services.upstream.returns_desk import found_in, react, report
from services.upstream.role import Task

_NOW = datetime(2026, 11, 21, tzinfo=UTC)


def approved(return_id: str = "r", quantity: int = 4) -> ReturnApproved:
    """A return of two items."""
    return ReturnApproved(
        return_id=return_id,
        order_id="o",
        tracking_number="T",
        approved_at=_NOW,
        lines=(ReturnLine(sku="bolt", quantity=quantity), ReturnLine(sku="nut", quantity=1)),
    )


def tasks(world: Simulation, return_id: str = "r") -> list[Task]:
    """What the desk means to report."""
    found = react(approved(return_id), world)
    assert all(isinstance(task, Task) for task in found)
    return [task for task in found if isinstance(task, Task)]


def test_an_approved_return_comes_and_is_inspected() -> None:
    """In this order, each after its delay; everything that was announced, fit for the shelf."""
    received, inspected = tasks(Simulation(seed=7, delay_seconds=2.0))
    assert (received.kind, inspected.kind) == ("ReturnReceived", "ReturnInspected")
    assert received.after < inspected.after
    first = report(received.kind, received.order_id, received.reference, _NOW)
    assert first == ReturnReceived(return_id="r", order_id="o", received_at=_NOW)
    second = report(inspected.kind, inspected.order_id, inspected.reference, _NOW)
    assert isinstance(second, ReturnInspected)
    assert [(line.sku, line.quantity, line.disposition) for line in second.lines] == [
        ("bolt", 4, "restock"),
        ("nut", 1, "restock"),
    ]


def test_a_request_is_not_yet_a_parcel() -> None:
    """Only what is approved comes."""
    requested = ReturnRequested(return_id="r", order_id="o", reason_code="OTHER", requested_at=_NOW, lines=())
    assert react(requested, Simulation()) == []


def test_duplicates_and_the_wrong_order() -> None:
    """By seed: every report comes three times, and the inspection before the parcel."""
    kinds = [
        task.kind
        for task in tasks(Simulation(seed=1, delay_seconds=1, duplicate=1, duplicate_fact=1, reorder=1))
    ]
    assert kinds[0] == "ReturnInspected"
    assert sorted(kinds) == ["ReturnInspected"] * 3 + ["ReturnReceived"] * 3
    repeats = tasks(Simulation(duplicate_fact=1))
    assert len({task.reference for task in repeats}) == 1, "a repeat says what the first report said"


def test_what_is_found_is_decided_by_the_seed() -> None:
    """Missing: half of a line, none of a single piece. Scrap and rejected lines in their shares."""
    half = found_in(approved(), Simulation(return_missing=1))
    assert [(line.sku, line.quantity) for line in half] == [("bolt", 2)]
    world = Simulation(seed=3, return_scrap=0.3, return_reject=0.2)
    found = [line.disposition for n in range(500) for line in found_in(approved(f"r-{n}"), world)]
    assert 240 < found.count("scrap") < 360
    assert 140 < found.count("reject") < 260
    assert found == [line.disposition for n in range(500) for line in found_in(approved(f"r-{n}"), world)]
    with pytest.raises(InvalidInputError, match="shares of one whole"):
        Simulation(return_scrap=0.6, return_reject=0.6)
