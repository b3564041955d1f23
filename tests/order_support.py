"""A paid order among fakes that keep books: what the services, Kafka and the bridge do for it, in one object.

The workflows are real. Each activity has its effect on the books once, by the state machine that the service has,
and what it publishes comes back as the signal that the bridge would send; faults can be put before and after the
effect of every attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from typing import Any, Final

from temporalio.client import WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from services.errors import IllegalTransitionError
from services.oms.states import ORDER as STATES
from services.oms.states import OrderState
from tests.waiting import until
from tests.workflow_support import World, every_activity, illegal, signal_as_event
from workflows.activities.contracts import order as order_activities
from workflows.activities.contracts import orders as activities
from workflows.activities.contracts import payment as payment_activities
from workflows.activities.contracts.base import ActivityContract
from workflows.contracts.base import SignalContract
from workflows.contracts.order import (
    GET_SNAPSHOT,
    ORDER,
    ORDER_RESERVED,
    PAYMENT_CAPTURED,
    PAYMENT_FAILED,
    SHIPMENT_DELIVERED,
    OrderRequest,
    OrderSnapshot,
)
from workflows.contracts.orders import CANCEL_ORDER, ORDER_FULFILLMENT, PACK_COMPLETED, PICK_COMPLETED
from workflows.contracts.payment import PAYMENT

Handle = WorkflowHandle[Any, str]

OWED: Final = Decimal("100.00")
GONE: Final = (OrderState.FAILED, OrderState.CANCELLED)

BEFORE: Final = "before"
"""The attempt fails before it has its effect."""

AFTER: Final = "after"
"""The attempt has its effect, and its answer is lost: what a timeout after success looks like to Temporal."""


class PaidOrder:
    """One paid order: its books, its faults, and its three workflows.

    ``silent`` names events that never arrive. Money is held when it begins, as a checkout leaves it.
    """

    def __init__(self, world: World, order_id: str, *, silent: Iterable[SignalContract[Any]] = ()) -> None:
        self.world = world
        self.order_id = order_id
        self.state = OrderState.CREATED
        self.states: list[OrderState] = [OrderState.CREATED]
        self.held, self.captured, self.refunded = OWED, Decimal(0), Decimal(0)
        self.closing = False
        self.shipped = False
        self.confirmations = 0
        self.faults: dict[str, list[str]] = defaultdict(list)
        self.refusals: dict[str, ApplicationError] = {}
        self._holds: dict[str, asyncio.Event] = {}
        self._meanwhile: dict[str, Callable[[], Awaitable[None]]] = {}
        self._silent = {signal.name for signal in silent}
        effects: list[tuple[ActivityContract[Any, Any], Callable[[Any], Any]]] = [
            (activities.MARK_ORDER_RESERVED, lambda _: self._mark("mark_order_reserved")),
            (order_activities.MARK_ORDER_CONFIRMED, lambda _: self._mark("mark_order_confirmed")),
            (activities.MARK_ORDER_SHIPPED, lambda _: self._mark_shipped()),
            (order_activities.MARK_ORDER_DELIVERED, lambda _: self._mark("mark_order_delivered")),
            (activities.MARK_ORDER_FAILED, lambda _: self._mark("mark_order_failed")),
            (activities.MARK_ORDER_CANCELLED, lambda _: self._mark("mark_order_cancelled")),
            (order_activities.READ_ORDER_STATE, lambda _: self.state.value),
            (order_activities.SEND_CONFIRMATION, lambda _: self._confirm()),
            (activities.CREATE_PICK_WAVE, lambda _: "wave"),
            (activities.CREATE_SHIPMENT, lambda _: "shipment"),
            (activities.CONFIRM_SHIPMENT, lambda _: self._ship()),
            (payment_activities.CAPTURE_PAYMENT, lambda _: self._capture()),
            (payment_activities.FAIL_PAYMENT, self._fail),
            (payment_activities.VOID_AUTHORIZATION, lambda _: self._void()),
            (payment_activities.REFUND_PAYMENT, lambda _: self._refund()),
        ]
        self._booked = {contract.name for contract, _ in effects}
        for contract, effect in effects:
            world.contexts.answer(order_id, contract, self._answer(contract, effect))

    # --- What a test does with it ---------------------------------------------------------------------

    async def begin(self) -> Handle:
        """Start its workflow, as an approved checkout does."""
        return await self.world.client.start_workflow(
            ORDER.name,
            OrderRequest(self.order_id),
            id=ORDER.workflow_id(order_id=self.order_id),
            task_queue=ORDER.queue,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            result_type=str,
        )

    @property
    def fulfillment(self) -> Handle:
        """The handle of its fulfillment."""
        return self.world.client.get_workflow_handle(
            ORDER_FULFILLMENT.workflow_id(order_id=self.order_id), result_type=str
        )

    @property
    def payment(self) -> Handle:
        """The handle of its payment."""
        return self.world.client.get_workflow_handle(
            PAYMENT.workflow_id(order_id=self.order_id), result_type=str
        )

    async def cancel(self) -> None:
        """Somebody asks OMS to cancel the order: one target, the fulfillment."""
        await self.tell(self.fulfillment, CANCEL_ORDER, requested_by="oms", reason="changed")

    async def tell(self, handle: Handle, signal: SignalContract[Any], event: str = "", **fields: Any) -> None:
        """Signal as the bridge does; a workflow that is missing or closed is no error here."""
        event_id = event or f"{signal.name}-of-{self.order_id}"
        payload = {"order_id": self.order_id, **fields}
        try:
            await signal_as_event(
                self.world.client, handle.id, signal.name, event_id, f"{event_id}-{id(payload)}", payload
            )
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    def hold(self, contract: ActivityContract[Any, Any]) -> asyncio.Event:
        """Have ``contract`` be under way, before its effect, until the event is set."""
        return self._holds.setdefault(contract.name, asyncio.Event())

    def faulty(self, contract: ActivityContract[Any, Any]) -> None:
        """Let ``contract`` have faults, also where no books are kept of it."""
        if contract.name in self._booked:
            return
        usual = self.world.contexts.default(contract) or (lambda _: None)
        self.world.contexts.answer(self.order_id, contract, self._answer(contract, usual))

    def when_asked(self, activity: str | None, happens: Callable[[], Awaitable[None]]) -> None:
        """Have something happen, once, while ``activity`` is under way for the first time."""
        if activity:
            self._meanwhile[activity] = happens
            self.faulty(every_activity()[activity])

    def refuse(self, contract: ActivityContract[Any, Any], kind: str, reason: str = "refused") -> None:
        """Have every attempt of ``contract`` fail for good with an error of type ``kind``."""
        self.refusals[contract.name] = ApplicationError(reason, type=kind, non_retryable=True)

    def add_up(self) -> None:
        """The books of an order that is at its end: what it owes is what was taken, and nothing is held."""
        assert self.refunded <= self.captured <= OWED
        assert self.held == 0
        assert self.captured - self.refunded == (0 if self.state in GONE else OWED)
        assert not (self.shipped and self.captured == 0), "shipped and not paid for"

    def attempts(self, contract: ActivityContract[Any, Any]) -> int:
        """How often ``contract`` was tried."""
        return [name for name, _ in self.world.contexts.arguments[self.order_id]].count(contract.name)

    # --- The services ---------------------------------------------------------------------------------

    def _answer(self, contract: ActivityContract[Any, Any], effect: Callable[[Any], Any]) -> Any:
        async def run(argument: Any) -> Any:
            fault = self.faults[contract.name].pop(0) if self.faults[contract.name] else ""
            if happens := self._meanwhile.pop(contract.name, None):
                await happens()
            if fault == BEFORE:
                raise RuntimeError(f"{contract.name}: not this time")
            if contract.name in self._holds:
                await self._holds[contract.name].wait()
            if contract.name in self.refusals:
                raise self.refusals[contract.name]
            result = effect(argument)
            if asyncio.iscoroutine(result):
                result = await result
            await self._publish(contract, argument)
            if fault == AFTER:
                raise RuntimeError(f"{contract.name}: done, and the answer is lost")
            return result

        return run

    async def _publish(self, contract: ActivityContract[Any, Any], argument: Any) -> None:
        order = self.world.client.get_workflow_handle(
            ORDER.workflow_id(order_id=self.order_id), result_type=str
        )
        match contract.name:
            case "MarkOrderReserved":
                await self._event(order, ORDER_RESERVED)
            case "CapturePayment" if self.captured:
                await self._event(self.fulfillment, PAYMENT_CAPTURED)
            case "FailPayment" if not self.captured:
                await self._event(
                    self.fulfillment, PAYMENT_FAILED, code=argument.code, reason=argument.reason
                )
            case "CreatePickWave":
                await self._event(self.fulfillment, PICK_COMPLETED)
                await self._event(self.fulfillment, PACK_COMPLETED)
            case "ConfirmShipment":
                await self._event(order, SHIPMENT_DELIVERED, shipment_id="shipment")

    async def _event(self, handle: Handle, signal: SignalContract[Any], **fields: Any) -> None:
        if signal.name not in self._silent:
            await self.tell(handle, signal, **fields)

    def _mark(self, operation: str) -> None:
        try:
            state = STATES.step(operation, self.state, self.order_id)
        except IllegalTransitionError as error:
            raise illegal() from error
        if state is not None:
            self.state = state
            self.states.append(state)

    def _mark_shipped(self) -> None:
        if self.state is OrderState.RESERVED:
            self._mark("mark_order_confirmed")
        self._mark("mark_order_shipped")

    def _confirm(self) -> None:
        self.confirmations += 1

    def _ship(self) -> None:
        self.shipped = True

    def _capture(self) -> None:
        if self.captured:
            return
        if self.closing:
            raise illegal()
        self.captured, self.held = self.held, Decimal(0)

    def _fail(self, _: Any) -> str:
        self.closing = True
        if self.captured:
            return "CAPTURED"
        self.held = Decimal(0)
        return "FAILED"

    def _void(self) -> None:
        self.closing = True
        self.held = Decimal(0)
        self.refunded = self.captured

    def _refund(self) -> str:
        given = self.captured - self.refunded
        self._void()
        return str(given)


async def snapshot_of(handle: Handle) -> OrderSnapshot:
    """What ``getSnapshot`` answers."""
    snapshot: OrderSnapshot = await handle.query(GET_SNAPSHOT, result_type=OrderSnapshot)
    return snapshot


async def order_is(handle: Handle, state: str, step: str = "") -> None:
    """Return once the order is in ``state``, and at ``step`` where one is named."""

    async def is_there() -> bool:
        snapshot = await snapshot_of(handle)
        return snapshot.state == state and (not step or snapshot.step == step)

    await until(is_there, what=f"{handle.id} is {state} {step}".rstrip())


async def fulfillment_is(order: PaidOrder, state: str) -> None:
    """Return once the order's fulfillment exists and is in ``state``."""

    async def is_there() -> bool:
        with contextlib.suppress(RPCError):
            status = await order.fulfillment.query("getFulfillmentStatus")
            return bool(status["state"] == state)
        return False

    await until(is_there, what=f"the fulfillment of {order.order_id} is {state}")
