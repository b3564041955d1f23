"""The simulated world decides by seed and order only, and does what its shares say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from infra.errors import InvalidInputError
from schemas.events import (
    OrderReserved,
    OrderSubmitted,
    PickWaveCancelled,
    PickWaveCreated,
    ReplenishmentOrdered,
    ReplenishmentReceived,
    ShipmentConfirmed,
    ShipmentCreated,
)
from services.errors import LabelRefusedError
from services.ims.bill_of_materials import parts_of
from services.upstream import Simulation, carrier, floor, supplier
from services.upstream.generator import SKUS, generate_orders, generate_stock
from services.upstream.label_carrier import SimulatedLabelCarrier
from services.upstream.role import CallOff, Occurrence, Task

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_PLAIN = Simulation(seed=7, delay_seconds=2.0)


def submitted(order_id: str) -> OrderSubmitted:
    """A submitted order."""
    return OrderSubmitted(
        order_id=order_id, request_id="r", customer_id="c", currency="EUR", ordered_at=_NOW, lines=()
    )


def wave(order_id: str) -> PickWaveCreated:
    """A wave."""
    return PickWaveCreated(order_id=order_id, wave_id="w", picks=(), created_at=_NOW)


def kinds(intents: object) -> list[tuple[str, str]]:
    """Kind and occurrence of tasks."""
    assert isinstance(intents, list)
    return [(task.kind, str(task.occurrence)) for task in intents]


def test_a_wave_is_picked_and_then_packed() -> None:
    """Each piece of work takes between half and one and a half of the mean delay."""
    pick, pack = floor.react(wave("o"), _PLAIN)
    assert isinstance(pick, Task)
    assert isinstance(pack, Task)
    assert (pick.kind, pack.kind, pick.reference) == ("PickCompleted", "PackCompleted", "w")
    assert 1.0 <= pick.after.total_seconds() <= 3.0
    assert 1.0 <= (pack.after - pick.after).total_seconds() <= 3.0


def lot(cycle: int = 1, quantity: int = 100) -> ReplenishmentOrdered:
    """A lot that IMS has ordered."""
    return ReplenishmentOrdered(sku="a/b", cycle=cycle, quantity=quantity, ordered_at=_NOW)


def test_a_lot_is_delivered_whole_or_in_part() -> None:
    """By seed: always some of it, never more than was ordered; a reminder changes nothing about it."""
    (task,) = supplier.react(lot(), _PLAIN)
    assert isinstance(task, Task)
    report = supplier.report(task.kind, task.order_id, task.reference, _NOW)
    assert report == ReplenishmentReceived(sku="a/b", cycle=1, quantity=100, received_at=_NOW)
    short = replace(_PLAIN, short_delivery=0.5)
    lots = [supplier.react(lot(cycle), short) for cycle in range(1, 201)]
    assert lots == [supplier.react(lot(cycle), short) for cycle in range(1, 201)]
    pieces = [int(task.reference or 0) for (task,) in lots if isinstance(task, Task)]
    assert 60 < sum(number < 100 for number in pieces) < 140
    assert all(20 <= number <= 100 for number in pieces)
    (only,) = supplier.react(lot(1, quantity=1), replace(_PLAIN, short_delivery=1.0))
    assert isinstance(only, Task)
    assert only.reference == "1"


def test_the_same_seed_decides_the_same_and_another_otherwise() -> None:
    """Decisions depend on seed, order and kind; the shares come out as asked for."""
    world = Simulation(seed=1, duplicate=0.1)
    orders = [f"o-{number}" for number in range(2000)]
    chosen = {one for one in orders if world.happens(0.1, one, "x")}
    assert chosen == {one for one in orders if replace(world).happens(0.1, one, "x")}
    assert chosen != {one for one in orders if replace(world, seed=2).happens(0.1, one, "x")}
    assert chosen != {one for one in orders if world.happens(0.1, one, "y")}
    assert 140 < len(chosen) < 260
    assert not any(world.happens(0.0, one, "x") for one in orders)
    assert all(world.happens(1.0, one, "x") for one in orders)


def test_a_reordered_wave_is_packed_before_it_is_picked() -> None:
    """The reports change places; nothing else changes."""
    tasks = floor.react(wave("o"), replace(_PLAIN, reorder=1.0))
    assert kinds(tasks) == [("PackCompleted", "first"), ("PickCompleted", "first")]


def test_repeats_come_after_the_first_report() -> None:
    """The same event again and the same fact under a new id are reports of their own, later than the first."""
    tasks = floor.react(wave("o"), replace(_PLAIN, duplicate=1.0, duplicate_fact=1.0))
    assert sorted(kinds(tasks)) == sorted(
        (kind, str(occurrence)) for kind in ("PickCompleted", "PackCompleted") for occurrence in Occurrence
    )
    after = {(task.kind, task.occurrence): task.after for task in tasks if isinstance(task, Task)}
    for kind in ("PickCompleted", "PackCompleted"):
        assert after[kind, Occurrence.FIRST] < after[kind, Occurrence.AGAIN]
        assert after[kind, Occurrence.FIRST] < after[kind, Occurrence.RENAMED]


def test_what_is_early_is_reported_without_a_wave() -> None:
    """Early reports come from the submission, at once and without a wave's id."""
    assert floor.react(submitted("o"), _PLAIN) == []
    tasks = floor.react(submitted("o"), replace(_PLAIN, early=1.0))
    assert kinds(tasks) == [("PickCompleted", "first"), ("PackCompleted", "first")]
    for task in tasks:
        assert isinstance(task, Task)
        assert (task.reference, task.after.total_seconds()) == (None, 0.0)
    some = [
        one
        for one in (f"o-{n}" for n in range(500))
        if floor.react(submitted(one), replace(_PLAIN, early=0.1))
    ]
    assert 50 < len(some) < 150


def test_a_cancelled_wave_is_called_off_and_other_events_mean_nothing() -> None:
    """The floor leaves what was cancelled; the roles react to what they listen to only."""
    cancelled = PickWaveCancelled(order_id="o", wave_id="w", cancelled_at=_NOW)
    assert floor.react(cancelled, _PLAIN) == [CallOff("o")]
    assert floor.react(OrderReserved(order_id="o", reserved_at=_NOW), _PLAIN) == []
    assert carrier.react(ShipmentCreated(order_id="o", shipment_id="s", created_at=_NOW), _PLAIN) == []


def test_a_confirmed_shipment_is_delivered() -> None:
    """The carrier reports the delivery of the shipment, perhaps twice."""
    confirmed = ShipmentConfirmed(order_id="o", shipment_id="s", confirmed_at=_NOW)
    assert kinds(carrier.react(confirmed, replace(_PLAIN, duplicate=1.0))) == [
        ("ShipmentDelivered", "first"),
        ("ShipmentDelivered", "again"),
    ]
    with pytest.raises(ValueError, match="reports deliveries"):
        carrier.report("PickCompleted", "o", "s", _NOW)


@pytest.mark.parametrize(
    "wrong", [{"delay_seconds": -1.0}, {"delay_seconds": float("nan")}, {"early": 1.1}, {"duplicate": -0.1}]
)
def test_a_world_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    """Shares are from 0 to 1, a delay is not negative."""
    with pytest.raises(InvalidInputError, match="must be"):
        Simulation(**wrong)  # type: ignore[arg-type]


async def test_labels_are_refused_at_each_attempt_anew_and_are_always_the_same() -> None:
    """A refusal depends on the attempt; the label does not."""
    never = SimulatedLabelCarrier(replace(_PLAIN, label_failure=1.0))
    with pytest.raises(LabelRefusedError, match="shipment s"):
        await never.label("s", 1)
    sometimes = SimulatedLabelCarrier(replace(_PLAIN, label_failure=0.5))
    labels, refusals = set(), 0
    for attempt in range(1, 50):
        try:
            labels.add(await sometimes.label("s", attempt))
        except LabelRefusedError:
            refusals += 1
    assert len(labels) == 1
    assert 5 < refusals < 45


def test_the_same_seed_makes_the_same_orders() -> None:
    """Order number k of a seed does not depend on how many are made."""
    orders = generate_orders(20, 3, ordered_at=_NOW)
    assert orders[5:15] == generate_orders(10, 3, start=5, ordered_at=_NOW)
    assert orders != generate_orders(20, 4, ordered_at=_NOW)
    assert len({order.request_id for order in orders}) == 20
    assert {line.sku for order in generate_orders(100, 3) for line in order.lines} == set(SKUS)


def test_generated_stock_is_enough_for_the_orders() -> None:
    """Every part of every order is there, kits expanded, and nothing falls below its reorder point."""
    orders = generate_orders(200, 5)
    rows = {row.sku: row for row in generate_stock(orders)}
    bill = {row.sku: row.components for row in rows.values() if row.components}
    needed = parts_of(((line.sku, line.quantity) for order in orders for line in order.lines), bill, {})
    assert all(rows[sku].on_hand - quantity >= rows[sku].reorder_point for sku, quantity in needed.items())
