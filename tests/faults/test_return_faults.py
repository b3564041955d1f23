"""Returns and carts over the real services and the local provider, with a fault at each step and compensation.

An attempt fails before it has had its effect, fails after it, or has its effect and is never heard of again (a
timeout after success), or this until its attempts are used up and a new round of them begins. Whatever happens:
refunded once and exactly, on the shelf once, each fact published once, our books those of the provider.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
import pytest_asyncio
from temporalio.client import WorkflowUpdateFailedError

from infra.local import Component
from services.ims import StockRow
from services.returns import Pieces, Reason
from tests.mishaps import AFTER, BEFORE, TIMEOUT, Mishaps, hurry
from tests.return_support import (
    Handle,
    begin_return,
    buy,
    cart_handle,
    inspected,
    parcel_came,
    put,
)
from tests.returned_goods import BOLTS, NUTS, Goods, open_goods
from tests.stack import SessionStack, fresh_database
from tests.workflow_support import World, new_namespace
from workflows import policies
from workflows.activities.contracts import cart as cart_contracts
from workflows.activities.contracts import payment as payment_contracts
from workflows.activities.contracts import returns as return_contracts
from workflows.contracts.cart import SetItem
from workflows.worker import WorkerLimits, build_worker

STEPS = (
    "CheckReturnPolicy",
    "GenerateReturnLabel",
    "ApproveReturn",
    "AssessReturn",
    "RefundPayment",
    "RestockReturn",
    "CompleteReturn",
)
COMPENSATIONS = ("CancelReturnLabel", "RejectReturn")
FOUND = (
    {"sku": "bolt", "quantity": 1, "disposition": "restock"},
    {"sku": "bolt", "quantity": 1, "disposition": "scrap"},
    {"sku": "nut", "quantity": 1, "disposition": "reject"},
)
"""Of two bolts and a nut that were announced: one for the shelf, one for the bin, one for the customer."""

OWED = Decimal("2.22")
"""Two thirds of the bolts' net of 3.33."""


@dataclass(frozen=True, slots=True)
class Warehouse:
    """Workflows, services, provider, and what goes wrong."""

    world: World
    goods: Goods
    mishaps: Mishaps

    async def begin(self, name: str, **faults: Sequence[str]) -> tuple[str, Handle]:
        """A return of two bolts and a nut of a new order, which meets ``faults``; the order's id, and the workflow."""
        order_id = await self.goods.sold(name)
        for activity, script in faults.items():
            self.mishaps.script[order_id, activity] = list(script)
        await self.goods.ask(order_id, f"return-of-{order_id}", bolt=2, nut=1)
        return order_id, await begin_return(self.world, order_id)

    async def finish(self, order_id: str, handle: Handle) -> None:
        """The parcel comes and is inspected."""
        await parcel_came(self.world, handle, order_id)
        await inspected(self.world, handle, order_id, FOUND)

    async def assert_refunded(self, order_id: str) -> None:
        """2.22 given back, once; each fact published once."""
        view = await self.goods.returns.view(f"return-of-{order_id}")
        assert view is not None
        assert (str(view.state), view.amount, view.refunded) == ("COMPLETED", OWED, OWED), order_id
        assert (await self.goods.desk.payment(order_id)).refunded == OWED, order_id
        await self.goods.desk.agree(order_id)
        assert await self.goods.desk.names(order_id) == [
            "PaymentAuthorized",
            "PaymentCaptured",
            "PaymentRefunded",
        ], order_id
        names = await self.goods.database.names(subject=f"return-of-{order_id}")
        assert names == ["ReturnRequested", "ReturnApproved", "ReturnCompleted"], order_id


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def warehouse(servers: SessionStack, temporal_address: str) -> AsyncIterator[Warehouse]:
    """A warehouse in which attempts are short, for all tests here: each keeps to orders of its own."""
    addresses = await servers.having(Component.POSTGRES)
    with pytest.MonkeyPatch.context() as patches:
        hurry(patches, cart_contracts, payment_contracts, return_contracts)
        patches.setattr(policies, "NEXT_ROUND", timedelta(milliseconds=200))
        async with (
            fresh_database(addresses.postgres_dsn or "") as dsn,
            _running(dsn, temporal_address) as running,
        ):
            yield running


@contextlib.asynccontextmanager
async def _running(dsn: str, temporal_address: str) -> AsyncIterator[Warehouse]:
    async with (
        open_goods(dsn) as goods,
        new_namespace(temporal_address) as world,
        contextlib.AsyncExitStack() as workers,
    ):
        await goods.stock(StockRow("bolt", 1000), StockRow("nut", 1000))
        mishaps = Mishaps()
        for queue in ("order-processing", "CART_TASK_QUEUE"):
            await workers.enter_async_context(build_worker(world.client, queue, strict=True))
        for queue in ("oms", "ims", "sms", "payments"):
            worker = build_worker(
                world.client,
                queue,
                activities=goods.activities(queue),
                around_activities=[mishaps],
                limits=WorkerLimits(activities=100),
            )
            await workers.enter_async_context(worker)
        yield Warehouse(world, goods, mishaps)
        mishaps.released.set()


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_fault_at_any_step_is_outlived(warehouse: Warehouse, unique: str, mishap: str) -> None:
    """Each step fails this way, once and for longer than its attempts last: refunded and restocked exactly once."""
    bolts, nuts = await warehouse.goods.on_hand("bolt"), await warehouse.goods.on_hand("nut")
    cases = [(step, times) for step in STEPS for times in (1, 3)]
    started = await asyncio.gather(
        *(warehouse.begin(f"{unique}-{step}-{times}", **{step: [mishap] * times}) for step, times in cases)
    )
    begun = dict(zip(cases, started, strict=True))
    await asyncio.gather(*(warehouse.finish(*one) for one in begun.values()))
    for name, (order_id, handle) in begun.items():
        assert await handle.result() == "COMPLETED", name
        await warehouse.assert_refunded(order_id)
    sold, back = len(begun), len(begun)
    assert await warehouse.goods.on_hand("bolt") == bolts - BOLTS.quantity * sold + back
    assert await warehouse.goods.on_hand("nut") == nuts - NUTS.quantity * sold


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_compensation_that_fails_is_tried_until_it_has_succeeded(
    warehouse: Warehouse, unique: str, mishap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parcel never comes, and what ends the return fails twice: no label, one ReturnRejected, no refund."""
    monkeypatch.setattr(policies, "RECEIPT_CLOCK", timedelta(seconds=2))
    begun = [await warehouse.begin(f"{unique}-{step}", **{step: [mishap] * 2}) for step in COMPENSATIONS]
    begun.append(
        await warehouse.begin(
            unique, GenerateReturnLabel=[mishap], **{step: [mishap] for step in COMPENSATIONS}
        )
    )
    for order_id, handle in begun:
        assert await handle.result() == "REJECTED"
        return_id = f"return-of-{order_id}"
        assert await warehouse.goods.labels.state(return_id) == "CANCELLED"
        names = await warehouse.goods.database.names(subject=return_id)
        assert names == ["ReturnRequested", "ReturnApproved", "ReturnRejected"]
        view = await warehouse.goods.returns.view(return_id)
        assert view is not None
        assert (view.code, view.refunded) == ("NOT_RECEIVED", None)
        assert (await warehouse.goods.desk.payment(order_id)).refunded == 0


async def test_the_providers_lost_answer_is_one_refund(warehouse: Warehouse, unique: str) -> None:
    """Given back, but the answer never came, and an error after it: asked again under its key, once in both books."""
    order_id, handle = await warehouse.begin(unique)
    warehouse.goods.desk.next(refund="lost error lost")
    await warehouse.finish(order_id, handle)
    assert await handle.result() == "COMPLETED"
    await warehouse.assert_refunded(order_id)


async def test_all_portions_together_are_the_whole_order(warehouse: Warehouse, unique: str) -> None:
    """Five returns of one order, one piece each, at once: exactly what was captured, everything on the shelf."""
    goods = warehouse.goods
    before = await goods.on_hand("bolt"), await goods.on_hand("nut")
    order_id = await goods.sold(unique)
    handles = []
    for number, sku in enumerate(["bolt", "bolt", "bolt", "nut", "nut"]):
        return_id = f"{unique}-{number}"
        await goods.ask(order_id, return_id, **{sku: 1})
        handle = await begin_return(warehouse.world, order_id, return_id)
        handles.append(handle)
        await inspected(
            warehouse.world, handle, order_id, [{"sku": sku, "quantity": 1, "disposition": "restock"}]
        )
    for handle in handles:
        assert await handle.result() == "COMPLETED"
    payment = await goods.desk.payment(order_id)
    assert payment.refunded == payment.captured == BOLTS.net + NUTS.net
    await goods.desk.agree(order_id)
    assert (await goods.on_hand("bolt"), await goods.on_hand("nut")) == before
    await goods.ask(order_id, f"{unique}-more", bolt=1)
    more = await begin_return(warehouse.world, order_id, f"{unique}-more")
    assert await more.result() == "REJECTED"


async def test_an_order_that_was_not_paid_here_is_restocked_and_owes_nothing(
    warehouse: Warehouse, unique: str
) -> None:
    """A direct order: ReturnCompleted with 0.00, and no payment that was ever asked for."""
    goods = warehouse.goods
    order_id = await goods.sold(unique, flow="direct")
    shipped = await goods.on_hand("bolt")
    await goods.returns.request(unique, order_id, Reason.DAMAGED, [Pieces("bolt", 1)])
    handle = await begin_return(warehouse.world, order_id, unique)
    await inspected(warehouse.world, handle, order_id, FOUND[:1])
    assert await handle.result() == "COMPLETED"
    view = await goods.returns.view(unique)
    assert view is not None
    assert (view.flow, view.refunded) == ("direct", Decimal("0.00"))
    assert await goods.desk.payments.payment(order_id) is None
    assert await goods.on_hand("bolt") == shipped + 1


# --- Carts --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_hand_over_that_fails_is_one_checkout(warehouse: Warehouse, unique: str, mishap: str) -> None:
    """Once: the customer notices nothing. For all attempts: asked again, it is one checkout all the same."""
    await put(warehouse.world, f"{unique}-once", SetItem("bolt", 1, "1"))
    warehouse.mishaps.script[f"{unique}-once", "HandOverCart"] = [mishap]
    assert (await buy(cart_handle(warehouse.world, f"{unique}-once"))).state == "CHECKED_OUT"

    await put(warehouse.world, unique, SetItem("bolt", 1, "1"))
    warehouse.mishaps.script[unique, "HandOverCart"] = [mishap, mishap]
    handle = cart_handle(warehouse.world, unique)
    with pytest.raises(WorkflowUpdateFailedError):
        await buy(handle)
    bought = await buy(handle)
    assert bought.state == "CHECKED_OUT"
    for cart_id in (unique, f"{unique}-once"):
        assert await warehouse.goods.database.names(subject=cart_id) == ["CartCheckedOut"]
    assert await warehouse.goods.database.names(subject=bought.checkout_id) == ["CheckoutRequested"]


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_an_abandonment_that_fails_is_one(
    warehouse: Warehouse, unique: str, mishap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For more than its attempts: given up once, in a later round."""
    monkeypatch.setattr(policies, "CART_IDLE_CLOCK", timedelta(seconds=1))
    warehouse.mishaps.script[unique, "AbandonCart"] = [mishap] * 3
    await put(warehouse.world, unique, SetItem("bolt", 1, "1"))
    assert await cart_handle(warehouse.world, unique).result() == "ABANDONED"
    assert await warehouse.goods.database.names(subject=unique) == ["CartAbandoned"]
