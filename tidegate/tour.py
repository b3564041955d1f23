"""Every workflow driven once, with real events: what ``tidegate demo --scenario all`` does beside selling orders.

A customer fills a cart and pays for it; the parcel arrives and half of it comes back. A direct customer orders
more of an item than there is, so that the supplier has to deliver. Then the two workflows that a schedule runs
every minute are run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from infra.clients.temporal import connect
from infra.ids import order_id_of
from infra.settings import Settings
from services.goods import StockRow
from services.orders import OrderLine, OrderSubmission
from services.returns import Pieces
from tidegate.wiring.services import open_services, open_storefront
from workflows.contracts.base import WorkflowContract
from workflows.contracts.cart import CART, CHECK_OUT, SET_ITEM, CartRequest, CartSnapshot, CheckOut, SetItem
from workflows.contracts.order import ORDER
from workflows.contracts.reconciliation import COST_WATCH, RECONCILIATION
from workflows.contracts.returns import RETURN

Tell = Callable[[str], None]

AMPLE: Final = "TOUR-LAMP"
SHORT: Final = "TOUR-BULB"
_PRICE: Final = "24.90"
_STOCK: Final = (StockRow(AMPLE, 100, 10), StockRow(SHORT, 2, 5))
_MORE_THAN_THERE_IS: Final = 6
_LOOK_AGAIN: Final = 0.25
"""Seconds between two looks for a workflow that its event has not started yet."""


class Tour:
    """One customer's way through everything. ``name`` tells the tours on one stack apart."""

    def __init__(self, settings: Settings, name: str, tell: Tell) -> None:
        self._settings = settings
        self._name = name
        self._tell = tell

    async def go(self) -> None:
        """Drive every workflow to its end. Waits for each as long as it takes."""
        client = await connect(self._settings.temporal)
        async with open_services(self._settings) as services:
            await services.ims.load(f"tour-{self._name}", _STOCK)
            await self._buy_more_than_there_is()
            cart = await self._fill_a_cart(client)
            self._tell(f"checkout {cart.checkout_id}: order {cart.order_id}, {cart.total} {cart.currency}")
            await self._ended(client, ORDER, order_id=cart.order_id)
            return_id = f"return-of-{self._name}"
            self._tell(f"return {return_id}: one piece of order {cart.order_id} comes back")
            await services.returns.request(return_id, cart.order_id, "NOT_WANTED", [Pieces(AMPLE, 1)])
            await self._ended(client, RETURN, return_id=return_id)
        for contract in (RECONCILIATION, COST_WATCH):
            self._tell(f"schedule {contract.id_template}: run now")
            await client.execute_workflow(
                contract.name,
                contract.input(),
                id=f"{contract.id_template}-tour-{self._name}",
                task_queue=contract.queue,
            )

    async def _buy_more_than_there_is(self) -> None:
        request_id = f"tour-{self._name}"
        line = OrderLine(SHORT, _MORE_THAN_THERE_IS, Decimal(_PRICE), Decimal(0))
        order = OrderSubmission(
            order_id_of(request_id), request_id, "customer-1", "EUR", datetime.now(UTC), (line,)
        )
        async with open_storefront(self._settings) as storefront:
            await storefront.submit([order])
        self._tell(f"order {order.order_id}: {_MORE_THAN_THERE_IS} pieces of {SHORT}, more than there are")

    async def _fill_a_cart(self, client: Client) -> CartSnapshot:
        cart_id = f"tour-{self._name}"
        start = WithStartWorkflowOperation[None, str](
            CART.name,
            CartRequest(cart_id, "customer-1", "EUR"),
            id=CART.workflow_id(cart_id=cart_id),
            task_queue=CART.queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        )
        await client.execute_update_with_start_workflow(
            SET_ITEM.name, SetItem(AMPLE, 2, _PRICE), start_workflow_operation=start, id=f"{cart_id}-set"
        )
        handle = client.get_workflow_handle(CART.workflow_id(cart_id=cart_id))
        self._tell(f"cart {cart_id}: two pieces of {AMPLE}")
        checked_out: CartSnapshot = await handle.execute_update(
            CHECK_OUT.name, CheckOut("tok_tour"), id=f"{cart_id}-check-out", result_type=CartSnapshot
        )
        return checked_out

    async def _ended(self, client: Client, contract: WorkflowContract, **fields: str) -> None:
        """Wait until it has started, which takes its event a moment, and then for its end."""
        handle = client.get_workflow_handle(contract.workflow_id(**fields))
        while True:
            try:
                await handle.result()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                await asyncio.sleep(
                    _LOOK_AGAIN
                )  # expected, so not a retry, which would be logged as a warning
            else:
                return
