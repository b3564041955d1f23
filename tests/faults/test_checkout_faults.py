"""A checkout over the real services and the local provider, with a fault at each step and each compensation.

An attempt fails before it has had its effect, fails after it, or has its effect and is never heard of again
(a timeout after success); once, or until its attempts are used up. Whatever happens: at most one
authorisation, at most one order, and nothing held for a checkout that came to nothing.

Attempts are made shorter and fewer here than they are (``tests/acceptance/test_seed_000.py`` holds the numbers).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from temporalio import activity
from temporalio.common import RetryPolicy
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from services import checkouts, oms
from services.checkouts import Checkouts
from services.oms import Oms
from services.upstream.provider import Faults
from tests.checkout_support import Handle, check_out, checkout_request, decide, order_of
from tests.payments_support import Desk, open_desk
from tests.services_support import submission
from tests.waiting import until
from tests.workflow_support import World, new_namespace
from tidegate.wiring.workflows import methods
from workflows.activities.checkouts import CheckoutActivities
from workflows.activities.contracts import checkout as checkout_contracts
from workflows.activities.contracts import payment as payment_contracts
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.oms import OmsActivities
from workflows.activities.payments import PaymentActivities
from workflows.policies import NOT_RETRIED
from workflows.worker import WorkerLimits, build_worker

FORWARD = ("ValidateCheckout", "AuthorizePayment", "CreateOrder", "EmitOrderEvent", "RequestFraudCheck")
COMPENSATIONS = ("WithdrawOrder", "VoidAuthorization", "RejectCheckout")

BEFORE, AFTER, TIMEOUT, LATE = "before", "after", "timeout", "late"
ALWAYS = 100


class Mishaps(Interceptor):
    """What goes wrong with which activity of which order, attempt by attempt."""

    def __init__(self) -> None:
        self.script: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.finished: Counter[tuple[str, str]] = Counter()
        self.released = asyncio.Event()

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Mishaps(next, self)


class _Mishaps(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, mishaps: Mishaps) -> None:  # noqa: A002
        super().__init__(next)
        self._mishaps = mishaps

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        key = (input.args[0].order_id, activity.info().activity_type)
        script = self._mishaps.script[key]
        mishap = script.pop(0) if script else None
        if mishap == BEFORE:
            raise ConnectionError("no connection")
        if mishap == LATE:
            # Past its timeout the SDK cancels an attempt by itself; this one is of a process that stood still.
            return await asyncio.shield(self._late(key, input))
        result = await self._carried_out(key, input)
        if mishap == AFTER:
            raise ConnectionError("the connection was lost")
        if mishap == TIMEOUT:
            await self._mishaps.released.wait()
        return result

    async def _late(self, key: tuple[str, str], input: ExecuteActivityInput) -> Any:  # noqa: A002
        await self._mishaps.released.wait()
        return await self._carried_out(key, input)

    async def _carried_out(self, key: tuple[str, str], input: ExecuteActivityInput) -> Any:  # noqa: A002
        try:
            return await super().execute_activity(input)
        finally:
            self._mishaps.finished[key] += 1


@dataclass(slots=True)
class Shop:
    """Workflows, services and provider."""

    world: World
    desk: Desk
    checkouts: Checkouts
    oms: Oms
    mishaps: Mishaps
    handles: list[Handle] = field(default_factory=list)

    async def begin(self, checkout_id: str, faults: Mapping[str, Sequence[str]], decision: str) -> Handle:
        """Start a checkout that meets ``faults``, and let fraud detection decide at once."""
        for name, steps in faults.items():
            self.mishaps.script[order_of(checkout_id), name] = list(steps)
        handle = await check_out(self.world, checkout_id)
        await decide(handle, decision)
        return handle

    async def assert_completed(self, checkout_id: str) -> None:
        """One authorisation, one order, each fact published once."""
        order_id = order_of(checkout_id)
        (books,) = await self.desk.books(order_id)
        assert (books.state, str(books.amount)) == ("authorized", "3.17"), checkout_id
        order = await self.oms.order(order_id)
        assert order is not None, checkout_id
        assert (order.flow, str(order.state), len(order.lines)) == ("paid", "CREATED", 2), checkout_id
        assert await self.names(checkout_id) == [
            "CheckoutCompleted",
            "FraudCheckRequested",
            "OrderCreated",
            "PaymentAuthorized",
        ], checkout_id
        await self.desk.agree(order_id)

    async def assert_undone(self, checkout_id: str, code: str) -> None:
        """Nothing held, nothing taken, no order that goes on; said once, with the reason."""
        order_id = order_of(checkout_id)
        assert [books.state for books in await self.desk.books(order_id)] in ([], ["voided"]), checkout_id
        order = await self.oms.order(order_id)
        assert order is None or str(order.state) == "CANCELLED", checkout_id
        names = Counter(await self.names(checkout_id))
        assert set(names.values()) == {1}, (checkout_id, names)
        assert ("OrderCancelled" in names) == (order is not None), (checkout_id, names)
        assert ("PaymentAuthorized" not in names) or ("PaymentVoided" in names), (checkout_id, names)
        assert "CheckoutCompleted" not in names, (checkout_id, names)
        checkout = await self.checkouts.checkout(checkout_id)
        assert checkout is not None, checkout_id
        assert (str(checkout.state), checkout.code) == ("REJECTED", code), checkout_id
        await self.desk.agree(order_id)

    async def names(self, checkout_id: str) -> list[str]:
        """What was published about the checkout, its order and its payment, by name."""
        about_order = await self.desk.database.names(subject=order_of(checkout_id))
        return sorted([*about_order, *await self.desk.database.names(subject=checkout_id)])


def hurried(contract: ActivityContract[Any, Any]) -> ActivityContract[Any, Any]:
    """The same activity with short attempts: two where they are counted, else as many as it takes."""
    attempts = 2 if contract.retry.maximum_attempts else 0
    quick = RetryPolicy(
        initial_interval=timedelta(milliseconds=50),
        backoff_coefficient=1.0,
        maximum_attempts=attempts,
        non_retryable_error_types=NOT_RETRIED,
    )
    return replace(contract, start_to_close=timedelta(seconds=4), retry=quick)


@pytest_asyncio.fixture(loop_scope="session")
async def shop(
    postgres_dsn: str, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shop]:
    """A shop in which attempts are short."""
    for module in (checkout_contracts, payment_contracts):
        for name, value in list(vars(module).items()):
            if isinstance(value, ActivityContract):
                monkeypatch.setattr(module, name, hurried(value))
    async with (
        open_desk(postgres_dsn, rooms=(oms.MIGRATIONS, checkouts.MIGRATIONS)) as desk,
        new_namespace(temporal_address) as world,
        contextlib.AsyncExitStack() as workers,
    ):
        sessions, outbox = desk.database.sessions, desk.database.outbox
        orders, mishaps = Oms(sessions, outbox), Mishaps()
        running = Shop(world, desk, Checkouts(sessions, outbox), orders, mishaps)
        activities = {
            "oms": [*methods(OmsActivities(orders)), *methods(CheckoutActivities(running.checkouts, orders))],
            "payments": methods(PaymentActivities(desk.payments)),
        }
        await workers.enter_async_context(build_worker(world.client, "order-processing", strict=True))
        for queue, implementations in activities.items():
            worker = build_worker(
                world.client,
                queue,
                activities=implementations,
                around_activities=[mishaps],
                limits=WorkerLimits(activities=100),
            )
            await workers.enter_async_context(worker)
        yield running
        mishaps.released.set()


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_fault_at_any_step_is_outlived(shop: Shop, unique: str, mishap: str) -> None:
    """Each step fails once, this way: the checkout completes with one authorisation and one order."""
    steps = (*FORWARD, "CompleteCheckout")
    handles = {step: await shop.begin(f"{unique}-{step}", {step: [mishap]}, "approved") for step in steps}
    for step, handle in handles.items():
        assert await handle.result() == "COMPLETED", step
        await shop.assert_completed(f"{unique}-{step}")


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_step_that_never_succeeds_is_undone(shop: Shop, unique: str, mishap: str) -> None:
    """Each step fails this way until its attempts are used up: whatever it has done is undone, and that is said."""
    handles = {
        step: await shop.begin(f"{unique}-{step}", {step: [mishap] * ALWAYS}, "approved") for step in FORWARD
    }
    for step, handle in handles.items():
        assert await handle.result() == "REJECTED", step
        await shop.assert_undone(f"{unique}-{step}", "UNAVAILABLE")


@pytest.mark.parametrize("mishap", [BEFORE, AFTER, TIMEOUT])
async def test_a_compensation_that_fails_is_tried_until_it_has_succeeded(
    shop: Shop, unique: str, mishap: str
) -> None:
    """Each compensation, and all of them, fail twice this way after a rejection: nothing is left behind."""
    cases = {step: {step: [mishap] * 2} for step in COMPENSATIONS}
    cases["all"] = {step: [mishap] * 2 for step in COMPENSATIONS}
    handles = {name: await shop.begin(f"{unique}-{name}", case, "rejected") for name, case in cases.items()}
    for name, handle in handles.items():
        assert await handle.result() == "REJECTED", name
        await shop.assert_undone(f"{unique}-{name}", "FRAUD")


async def test_an_attempt_that_outlives_the_checkout_has_no_effect(shop: Shop, unique: str) -> None:
    """Attempts hang until the checkout has been given up, and go on then: no order is made, no money is held."""
    handles = {
        step: await shop.begin(f"{unique}-{step}", {step: [LATE] * ALWAYS}, "approved") for step in FORWARD
    }
    for step, handle in handles.items():
        assert await handle.result() == "REJECTED", step
    shop.mishaps.released.set()

    def all_over() -> bool:
        return all(shop.mishaps.finished[order_of(f"{unique}-{step}"), step] == 2 for step in FORWARD)

    await until(all_over, what="the late attempts have ended")
    for step in FORWARD:
        await shop.assert_undone(f"{unique}-{step}", "UNAVAILABLE")
    for step in ("ValidateCheckout", "AuthorizePayment", "CreateOrder"):
        assert await shop.oms.order(order_of(f"{unique}-{step}")) is None, step


async def test_a_declined_card_creates_no_order(shop: Shop, unique: str) -> None:
    """The provider's no is not asked for again; nothing was held, no order was made, and the reason is told."""
    shop.desk.server.misbehave(Faults(decline=1.0))
    handle = await shop.begin(unique, {}, "approved")
    assert await handle.result() == "REJECTED"
    await shop.assert_undone(unique, "DECLINED")
    assert shop.mishaps.finished[order_of(unique), "AuthorizePayment"] == 1
    assert await shop.oms.order(order_of(unique)) is None


async def test_a_lost_answer_of_the_provider_is_one_authorisation(shop: Shop, unique: str) -> None:
    """Held, but the answer never came: asked again under its key, there is one authorisation; a rejection frees it."""
    shop.desk.next(authorize="lost", void="lost error")
    handle = await shop.begin(unique, {}, "rejected")
    assert await handle.result() == "REJECTED"
    await shop.assert_undone(unique, "FRAUD")
    assert len(await shop.desk.books(order_of(unique))) == 1


async def test_a_second_checkout_of_one_order_touches_nothing_of_the_first(shop: Shop, unique: str) -> None:
    """The same request under another checkout id is invalid, and its end neither voids nor cancels anything."""
    first = await shop.begin(unique, {}, "approved")
    assert await first.result() == "COMPLETED"
    request = replace(checkout_request(unique), checkout_id=f"{unique}-again")
    second = await check_out(shop.world, f"{unique}-again", request)
    assert await second.result() == "REJECTED"
    checkout = await shop.checkouts.checkout(f"{unique}-again")
    assert checkout is not None
    assert (checkout.code, checkout.holds_order) == ("INVALID", False)
    order = await shop.oms.order(order_of(unique))
    assert order is not None
    assert str(order.state) == "CREATED"
    (books,) = await shop.desk.books(order_of(unique))
    assert books.state == "authorized"


async def test_a_direct_order_is_not_charged_nor_cancelled_by_a_checkout_of_its_request(
    shop: Shop, unique: str
) -> None:
    """The order is there already, unpaid: the checkout is refused and undone, and leaves the order alone."""
    direct = submission(f"request-of-{unique}")
    await shop.oms.create_order(direct)
    handle = await shop.begin(unique, {}, "approved")
    assert await handle.result() == "REJECTED"
    order = await shop.oms.order(order_of(unique))
    assert order is not None
    assert (order.flow, str(order.state)) == ("direct", "CREATED")
    assert [books.state for books in await shop.desk.books(order_of(unique))] == ["voided"]
