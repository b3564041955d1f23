"""The facts that a fulfillment waits for, each behind a gate with its clock.

Source: 003, "Signals", "Cancellation & Compensation"; design §7, clocks.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

from workflows.blocks.gate import Gate, GateState
from workflows.contracts.order import PAYMENT_CAPTURED, PaymentFailureNotice
from workflows.contracts.orders import INVENTORY_ALLOCATED, PACK_COMPLETED, PICK_COMPLETED, AllocationRefusal
from workflows.fulfillment_progress import FulfillmentProgress
from workflows.policies import PACK_CLOCK, PAYMENT_CLOCK, PICK_CLOCK, STOCK_CLOCK

Fact: TypeAlias = AllocationRefusal | PaymentFailureNotice | bool
"""True for what is hoped for, or the notice that says that it will never come."""


class FulfillmentGates:
    """One gate for each fact. ``before`` is what the earlier runs knew; ``step`` the one that is under way.

    Facts may come before anybody waits for them, and the first one counts. The clock of the wait that is under
    way goes on where the earlier run left it.
    """

    def __init__(self, before: FulfillmentProgress, step: str) -> None:
        def gate(of_step: str, fact: str, clock: timedelta, known: Fact | None) -> Gate[Fact]:
            under_way = before.deadline if of_step == step else None
            state = GateState(began=under_way, deadline=under_way) if under_way else None
            return Gate(fact, clock=clock, fact=known or None, state=state)

        stock, paid = before.allocated or before.unallocated, before.paid or before.payment_failure
        self.stock = gate("Allocate Inventory", INVENTORY_ALLOCATED.name, STOCK_CLOCK, stock)
        self.payment = gate("Wait for Payment", PAYMENT_CAPTURED.name, PAYMENT_CLOCK, paid)
        self.pick = gate("Wait for Pick Completion", PICK_COMPLETED.name, PICK_CLOCK, before.picked)
        self.pack = gate("Pack Order", PACK_COMPLETED.name, PACK_CLOCK, before.packed)
        self.at: Gate[Fact] | None = None
        """The gate that is waited at."""

    @property
    def waiting_for(self) -> str | None:
        """One sentence for people; None where nothing is waited for."""
        sentence = self.at.waiting_for if self.at else None
        return f"{sentence}, then the order fails" if sentence else None

    def known(self) -> dict[str, Any]:
        """What has been reported, and until when is waited, by the fields of the next run's progress."""
        stock, payment = self.stock.fact, self.payment.fact
        return {
            "deadline": self.at.state.deadline if self.at else None,
            "picked": self.pick.fact is not None,
            "packed": self.pack.fact is not None,
            "allocated": stock is True,
            "unallocated": stock if isinstance(stock, AllocationRefusal) else None,
            "paid": payment is True,
            "payment_failure": payment if isinstance(payment, PaymentFailureNotice) else None,
        }
