"""Money captured = money owed, for every order, whatever fails, whatever is lost, and whenever it is cancelled.

Many paid orders at once through the real workflows, with books at the activity boundary. Each has a fate of its own,
drawn from a seed. The clocks that end an order that nobody cancels are tested in ``test_order_clocks.py``.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Final

from temporalio.client import WorkflowFailureError

from tests.order_support import AFTER, BEFORE, PaidOrder, fulfillment_is
from tests.workflow_support import World, real_world
from workflows.activities.contracts import order as order_activities
from workflows.activities.contracts import orders as activities
from workflows.activities.contracts import payment as payment_activities
from workflows.contracts.base import SignalContract
from workflows.contracts.order import ORDER_RESERVED, PAYMENT_CAPTURED
from workflows.contracts.orders import PACK_COMPLETED, PICK_COMPLETED

ORDERS: Final = 30
SEED: Final = 20261121

FAULTY: Final = (
    activities.ALLOCATE_INVENTORY,
    activities.MARK_ORDER_RESERVED,
    activities.CREATE_PICK_WAVE,
    activities.CONSUME_INVENTORY,
    activities.MARK_ORDER_SHIPPED,
    activities.MARK_ORDER_FAILED,
    activities.MARK_ORDER_CANCELLED,
    activities.RELEASE_INVENTORY,
    activities.RETURN_INVENTORY,
    activities.CANCEL_PICK_WAVE,
    order_activities.MARK_ORDER_CONFIRMED,
    order_activities.SEND_CONFIRMATION,
    payment_activities.CAPTURE_PAYMENT,
    payment_activities.FAIL_PAYMENT,
    payment_activities.VOID_AUTHORIZATION,
    payment_activities.REFUND_PAYMENT,
)
LOST: Final[dict[SignalContract[Any], str]] = {
    ORDER_RESERVED: "WAITING_FOR_PAYMENT",
    PAYMENT_CAPTURED: "WAITING_FOR_PAYMENT",
    PICK_COMPLETED: "WAITING_FOR_PICK",
    PACK_COMPLETED: "WAITING_FOR_PACK",
}
"""Events that may never come, and where the order then stands until somebody cancels it."""

CANCELLED_AT: Final = (
    "AllocateInventory",
    "MarkOrderReserved",
    "CapturePayment",
    "MarkOrderConfirmed",
    "CreatePickWave",
    "ConsumeInventory",
    "CreateShipment",
    "GenerateShippingLabel",
    "ConfirmShipment",
    "MarkOrderShipped",
)


class Fate:
    """What befalls one order: faults, an event that is lost, a refusal of the provider, a cancellation."""

    def __init__(self, world: World, number: int) -> None:
        chance = random.Random(SEED * 1_000 + number)
        self.lost = chance.choice(list(LOST)) if chance.random() < 0.25 else None
        self.order = PaidOrder(world, f"fate-{number}", silent=(self.lost,) if self.lost else ())
        for contract in FAULTY:
            self.order.faulty(contract)
            if chance.random() < 0.15:
                self.order.faults[contract.name] = chance.choices((BEFORE, AFTER), k=chance.randint(1, 2))
        if chance.random() < 0.1:
            self.order.faults["CapturePayment"] = chance.choices((BEFORE, AFTER), k=5)
        if chance.random() < 0.15:
            self.order.refuse(payment_activities.CAPTURE_PAYMENT, "InsufficientFundsError")
        self.cancelled_at = chance.choice(CANCELLED_AT) if chance.random() < 0.5 else None
        self.order.when_asked(self.cancelled_at, self.order.cancel)

    async def comes_true(self) -> str:
        """The order's end. One that would wait for ever for an event that is lost is cancelled."""
        handle = await self.order.begin()
        giving_up = asyncio.create_task(self._give_up())
        try:
            return await handle.result()
        except WorkflowFailureError as failure:
            return f"{failure.cause!r}"
        finally:
            giving_up.cancel()

    async def _give_up(self) -> None:
        if self.lost:
            await fulfillment_is(self.order, LOST[self.lost])
            await self.order.cancel()


async def test_what_is_captured_is_what_is_owed(temporal_address: str) -> None:
    """DELIVERED orders are paid for in full; FAILED and CANCELLED ones cost nothing, and nothing stays held."""
    async with real_world(temporal_address) as world:
        fates = [Fate(world, number) for number in range(ORDERS)]
        ends = await asyncio.gather(*(fate.comes_true() for fate in fates))
    for number, (fate, end) in enumerate(zip(fates, ends, strict=True)):
        assert end in ("DELIVERED", "FAILED", "CANCELLED"), f"fate {number}: {end}"
        assert end == fate.order.state, f"fate {number}"
        try:
            fate.order.add_up()
        except AssertionError as error:
            raise AssertionError(f"fate {number} ({end}): {vars(fate.order)}") from error
    assert {*ends} == {"DELIVERED", "FAILED", "CANCELLED"}, "the fates are varied"
    assert any(fate.order.refunded for fate in fates)
    assert any(fate.cancelled_at and end == "DELIVERED" for fate, end in zip(fates, ends, strict=True)), (
        "some cancellations come too late"
    )
