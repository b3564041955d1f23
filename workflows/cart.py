"""A cart that persists across its customer's sessions, until it is bought or given up.

Source: 001, "Cart management"; design §7, CartWorkflow.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, RetryState

from services.shopping_cart import checkout_of
from workflows.activities.contracts.cart import ABANDON_CART, HAND_OVER_CART, CartHandOver, IdleCart
from workflows.blocks.endings import ClockRanOutError, RunIsFullError
from workflows.blocks.entity import Entity
from workflows.cart_contents import REMEMBERED_UPDATES, CartInput, CartProgress, Contents
from workflows.contracts.cart import (
    ABANDONED,
    CART,
    CART_REFUSED,
    CHECK_OUT,
    CHECKED_OUT,
    CHECKING_OUT,
    GET_SNAPSHOT,
    OPEN,
    REMOVE_ITEM,
    SET_ITEM,
    CartSnapshot,
    CheckOut,
    RemoveItem,
    SetItem,
)
from workflows.policies import CART_IDLE_CLOCK, NEXT_ROUND
from workflows.visibility import note_status


@workflow.defn(name=CART.name)
class CartWorkflow:
    """Holds one cart, and gives what became of it: ``CHECKED_OUT`` or ``ABANDONED``.

    Every change is an update: its validator refuses it before it is in the history, or it is made. Once a hand-over
    has begun, nothing is put in or taken out any more, since the checkout may be under way; where the hand-over's
    attempts are used up, ``checkOut`` may be asked again, and is one checkout all the same.
    """

    @workflow.init
    def __init__(self, cart: CartInput) -> None:
        before = cart.progress or CartProgress()
        self._cart = cart
        self._ids = checkout_of(cart.cart_id)
        self._contents = Contents(cart, before.lines)
        self._state = before.state
        self._life: Entity[None] = Entity(idle=CART_IDLE_CLOCK, touched_at=before.touched_at)
        self._updates = list(before.updates)
        self._updates_of_run = 0
        self._one_hand_over = asyncio.Lock()
        self._blocked_by: str | None = None

    @workflow.run
    async def run(self, cart: CartInput) -> str:
        """Live until the cart is bought, or was idle for 7 days."""
        note_status(self._state)
        try:
            await self._life.until(lambda: self._state == CHECKED_OUT or self._run_is_full())
        except ClockRanOutError:
            await self._abandon()
        except RunIsFullError:
            workflow.logger.info("the history is long enough")
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._state in {OPEN, CHECKING_OUT}:
            await self._life.continue_as_new(lambda: replace(cart, progress=self._progress()))
        note_status(self._state, order_id=self._ids.order_id if self._state == CHECKED_OUT else None)
        return self._state

    # --- Updates: refused by their validator, or made ---------------------------------------------------

    @workflow.update(name=SET_ITEM.name)
    def set_item(self, item: SetItem) -> CartSnapshot:
        """So many pieces of a sku, at this price, whatever lay there before."""
        if self._is_new():
            self._contents.put(item)
        return self.get_snapshot()

    @set_item.validator
    def _validate_set_item(self, item: SetItem) -> None:
        self._require_open()
        _refuse_for(self._contents.reason_against(item, workflow.now()))

    @workflow.update(name=REMOVE_ITEM.name)
    def remove_item(self, item: RemoveItem) -> CartSnapshot:
        """None of a sku; where there was none, nothing changes."""
        if self._is_new():
            self._contents.take_out(item.sku)
        return self.get_snapshot()

    @remove_item.validator
    def _validate_remove_item(self, item: RemoveItem) -> None:  # noqa: ARG002 - that of its handler
        self._require_open()

    @workflow.update(name=CHECK_OUT.name)
    async def check_out(self, request: CheckOut) -> CartSnapshot:
        """Buy it. Returns when the checkout has been asked for; what becomes of that is the checkout's to tell."""
        self._is_new()
        async with self._one_hand_over:
            if self._state != CHECKED_OUT:
                await self._hand_over(request.payment_token)
        return self.get_snapshot()

    @check_out.validator
    def _validate_check_out(self, request: CheckOut) -> None:
        if self._was_seen():
            return
        if self._state not in {OPEN, CHECKING_OUT}:
            _refuse_for(self._over())
        if not self._contents.lines:
            _refuse_for("the cart is empty")
        if not request.payment_token.strip():
            _refuse_for("there is no payment_token")

    # --- Query ------------------------------------------------------------------------------------------

    @workflow.query(name=GET_SNAPSHOT)
    def get_snapshot(self) -> CartSnapshot:
        """What lies in the cart, and where it stands."""
        touched = datetime.fromisoformat(self._life.touched_at)
        return CartSnapshot(
            cart_id=self._cart.cart_id,
            customer_id=self._cart.customer_id,
            currency=self._cart.currency,
            state=self._state,
            lines=self._contents.lines,
            pieces=self._contents.pieces,
            total=str(self._contents.total),
            idle_until=(touched + CART_IDLE_CLOCK).isoformat(),
            checkout_id=self._ids.checkout_id,
            order_id=self._ids.order_id,
            blocking_reason=self._blocked_by,
        )

    # --- The ends of a cart -----------------------------------------------------------------------------

    async def _hand_over(self, payment_token: str) -> None:
        if (
            self._state != ABANDONED
        ):  # by its clock, while it waited for its turn: the carts know which came first
            self._state = CHECKING_OUT
            self._blocked_by = (
                f"{HAND_OVER_CART.name} has not succeeded yet (task queue {HAND_OVER_CART.queue})"
            )
        cart = self._cart
        try:
            await HAND_OVER_CART(
                CartHandOver(
                    cart.cart_id, cart.customer_id, cart.currency, payment_token, self._contents.lines
                )
            )
        except ActivityError as error:
            if error.retry_state is RetryState.NON_RETRYABLE_FAILURE:
                if self._state != ABANDONED:  # one that was given up meanwhile is not open again
                    self._state, self._blocked_by = OPEN, None
                raise ApplicationError(f"not bought: {error.cause or error}", type=CART_REFUSED) from error
            raise ApplicationError(
                "not known to be bought yet: ask again, it is bought once", type="HandOverFailedError"
            ) from error
        self._state, self._blocked_by = CHECKED_OUT, None

    async def _abandon(self) -> None:
        """Give the cart up. From now on it takes nothing, and it waits for OMS for as long as it must."""
        self._state = ABANDONED
        self._blocked_by = f"{ABANDON_CART.name} has not succeeded yet (task queue {ABANDON_CART.queue})"
        idle = IdleCart(
            self._cart.cart_id, self._cart.customer_id, self._cart.currency, self._contents.pieces
        )
        while self._blocked_by:
            try:
                self._state = await ABANDON_CART(idle)
                self._blocked_by = None
            except ActivityError as error:
                workflow.logger.warning("not abandoned yet: %s", error.cause or error)
                await workflow.sleep(NEXT_ROUND)

    # --- What is around them ----------------------------------------------------------------------------

    def _run_is_full(self) -> bool:
        return self._updates_of_run >= self._cart.updates_per_run

    def _progress(self) -> CartProgress:
        return CartProgress(
            lines=self._contents.lines,
            state=self._state,
            touched_at=self._life.touched_at,
            updates=tuple(self._updates),
        )

    def _was_seen(self) -> bool:
        update = workflow.current_update_info()
        return update is not None and update.id in self._updates

    def _is_new(self) -> bool:
        """Whether the update under way was never made, in this run or an earlier one. From now on it was."""
        self._life.touch()
        self._updates_of_run += 1
        update = workflow.current_update_info()
        if update is None or update.id in self._updates:
            return False
        self._updates = [*self._updates, update.id][-REMEMBERED_UPDATES:]
        return True

    def _require_open(self) -> None:
        if self._state != OPEN and not self._was_seen():
            _refuse_for(self._over())

    def _over(self) -> str:
        if self._state == ABANDONED:
            return f"the cart was given up after {CART_IDLE_CLOCK.days} days"
        return f"the cart is {self._state} (checkout {self._ids.checkout_id})"


def _refuse_for(reason: str | None) -> None:
    if reason is not None:
        raise ApplicationError(reason, type=CART_REFUSED, non_retryable=True)
