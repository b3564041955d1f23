"""The activities of a return that are next to OMS's data. Source: 000; design §7, ReturnWorkflow."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from temporalio import activity
from temporalio.exceptions import ApplicationError

from services.errors import UnknownOrderError
from services.oms import OrderState, OrderView
from services.returns import Disposition, Found, Returns, SoldOrder
from workflows.activities.contracts import returns as contracts
from workflows.activities.contracts.returns import (
    InspectedReturn,
    LabelledReturn,
    PolicyVerdict,
    RefundedReturn,
    ReturnedPieces,
    ReturnReference,
    ReturnRejection,
    ReturnReminder,
    ReturnSettlement,
)
from workflows.activities.refusals import refusals

_SHIPPED = frozenset({OrderState.SHIPPED, OrderState.DELIVERED})


class Orders(Protocol):
    """Where orders are read: OMS owns them."""

    async def order(self, order_id: str) -> OrderView | None:
        """The order as it stands, or ``None``."""


class ReturnActivities:
    """A return's life, each activity one idempotent operation of the returns."""

    def __init__(self, returns: Returns, orders: Orders) -> None:
        self._returns = returns
        self._orders = orders

    @activity.defn(name=contracts.CHECK_RETURN_POLICY.name)
    async def check_return_policy(self, one: ReturnReference) -> PolicyVerdict:
        """Hold the return to the policy, and set its pieces aside."""
        order = await self._orders.order(one.order_id)
        if order is None:
            return PolicyVerdict(accepted=False, reason="there is no such order")
        with refusals():
            verdict = await self._returns.check_policy(one.return_id, sold_order(order))
        return PolicyVerdict(verdict.accepted, verdict.reason)

    @activity.defn(name=contracts.APPROVE_RETURN.name)
    async def approve_return(self, one: LabelledReturn) -> None:
        """The parcel may come; the customer and the warehouse learn its number."""
        with refusals():
            await self._returns.approve(one.return_id, one.order_id, one.tracking_number)

    @activity.defn(name=contracts.SEND_RETURN_REMINDER.name)
    async def send_return_reminder(self, reminder: ReturnReminder) -> None:
        """Remind whoever the return waits for, once for each number."""
        with refusals():
            await self._returns.remind(reminder.return_id, reminder.order_id, reminder.about, reminder.number)

    @activity.defn(name=contracts.ASSESS_RETURN.name)
    async def assess_return(self, one: InspectedReturn) -> ReturnSettlement:
        """Settle what of the parcel is taken back, and what is owed for it."""
        try:
            found = [Found(line.sku, line.quantity, Disposition(line.disposition)) for line in one.lines]
        except ValueError as error:
            known = ", ".join(Disposition)
            raise ApplicationError(
                f"a disposition is none of {known}", type="InvalidReturnError", non_retryable=True
            ) from error
        with refusals():
            order = await self._orders.order(one.order_id)
            if order is None:
                raise UnknownOrderError(f"OMS holds no order {one.order_id}")
            settled = await self._returns.assess(one.return_id, sold_order(order), found)
        restock = tuple(ReturnedPieces(line.sku, line.quantity) for line in settled.restock)
        return ReturnSettlement(str(settled.amount), settled.accepted, restock)

    @activity.defn(name=contracts.COMPLETE_RETURN.name)
    async def complete_return(self, one: RefundedReturn) -> None:
        """The return is over, its money refunded."""
        with refusals():
            await self._returns.complete(one.return_id, one.order_id, Decimal(one.refunded))

    @activity.defn(name=contracts.REJECT_RETURN.name)
    async def reject_return(self, one: ReturnRejection) -> None:
        """The return is over, without a refund."""
        with refusals():
            await self._returns.reject(one.return_id, one.order_id, one.code, one.reason)


def sold_order(order: OrderView) -> SoldOrder:
    """What the returns need to know of an order of OMS."""
    return SoldOrder(
        order_id=order.order_id,
        flow=order.flow,
        currency=order.currency,
        is_shipped=order.state in _SHIPPED,
        shipped_at=order.shipped_at,
        lines=order.lines,
    )
