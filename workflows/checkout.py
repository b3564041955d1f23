"""One attempt of a customer to buy: validate, authorise, create the order, wait for a decision on fraud.

Approved, the order's own workflow begins. Rejected, too late or cancelled, the authorisation is voided and the
order cancelled. The payment token goes to the provider and nowhere else.

Source: 000, "Architecture", "Implementation Details"; design §7, the table of workflows and "How they compose".
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

from temporalio import workflow
from temporalio.common import RawValue, WorkflowIDReusePolicy
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.checkout import (
    COMPLETE_CHECKOUT,
    CREATE_ORDER,
    EMIT_ORDER_EVENT,
    EXPIRE_CHECKOUT,
    REJECT_CHECKOUT,
    REQUEST_FRAUD_CHECK,
    VALIDATE_CHECKOUT,
    WITHDRAW_ORDER,
    CheckoutExpiry,
    CheckoutReference,
    CheckoutRejection,
    CheckoutTotal,
)
from workflows.activities.contracts.orders import EventToEmit, OrderReference
from workflows.activities.contracts.payment import (
    AUTHORIZE_PAYMENT,
    VOID_AUTHORIZATION,
    AuthorizationRequest,
)
from workflows.blocks.endings import ClockRanOutError, LeftEarlyError, RunIsFullError
from workflows.blocks.gate import Gate
from workflows.blocks.saga import Saga
from workflows.checkout_progress import CheckoutInput, CheckoutProgress
from workflows.contracts.base import SignalContract
from workflows.contracts.checkout import (
    APPROVED,
    CHECKOUT,
    FRAUD_DECISION,
    GET_SNAPSHOT,
    MANUAL_REVIEW_DECISION,
    PAID,
    REJECTED,
    REVIEW,
    CheckoutSnapshot,
    FraudDecision,
    ManualReviewDecision,
)
from workflows.contracts.order import ORDER, OrderRequest
from workflows.emitting import emitted_event_id
from workflows.policies import CHECKOUT_CLOCK, REVIEW_CLOCK
from workflows.signals import Inbox, UnreadableError, read
from workflows.visibility import note_status

Argument = TypeVar("Argument")
Result = TypeVar("Result")
Decision = TypeVar("Decision", FraudDecision, ManualReviewDecision)

COMPENSATIONS: Final = (VOID_AUTHORIZATION, WITHDRAW_ORDER)
"""What undoes a step of a checkout. Each may come before, after or instead of what it undoes."""

_CODES: Final = {
    "InvalidOrderError": "INVALID",
    "IllegalTransitionError": "INVALID",
    "InsufficientFundsError": "DECLINED",
    "CardDeclinedError": "DECLINED",
    "CardInvalidError": "DECLINED",
}
"""The code of a rejection by the type of the failure that is not retried; any other is ``UNAVAILABLE``."""


class _RejectedError(Exception):
    """The checkout comes to nothing. ``code`` is for programs, the message for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _ExpiredError(Exception):
    """The decision ``waited_for`` did not come in time."""

    def __init__(self, waited_for: str) -> None:
        super().__init__(f"no {waited_for} in time")
        self.waited_for = waited_for


_End: TypeAlias = _RejectedError | _ExpiredError


@workflow.defn(name=CHECKOUT.name)
class CheckoutWorkflow:
    """Takes one checkout to its end, and gives what became of it: ``COMPLETED``, ``REJECTED`` or ``EXPIRED``.

    A rejected or expired *checkout* is a result; the *workflow* fails where there is no checkout to be read, or
    where a service refused for good to record or to undo what happened, so that a person looks at it. Cancelling
    it in Temporal rejects the checkout until it is approved, and has no effect from then on: the order's own
    cancellation (``CancelOrder``) is what ends it.
    """

    @workflow.init
    def __init__(self, submitted: RawValue) -> None:
        self._unreadable: str | None = None
        try:
            self._checkout = read(CheckoutInput, submitted)
        except UnreadableError as error:
            self._unreadable = str(error)
            self._checkout = CheckoutInput("", "", "", "", "", "", "", ())
        before = self._checkout.progress or CheckoutProgress()
        self._order = OrderReference(self._checkout.order_id, PAID)
        self._reference = CheckoutReference(self._checkout.checkout_id, self._checkout.order_id)
        self._steps: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("Validate", self._validate),
            ("Authorize", self._authorize),
            ("Create Order", self._create_order),
            ("Request Fraud Check", self._request_fraud_check),
            ("Wait for Fraud Decision", self._wait_for_decision),
            ("Start Order", self._start_order),
            ("Complete", self._complete),
        )
        self._steps_done = before.steps_done
        self._step = self._steps[before.steps_done][0]
        self._state = "RUNNING"
        self._blocked_by: str | None = None
        self._total = CheckoutTotal("", "")
        self._undo = Saga(self._order, COMPENSATIONS, before.compensations)
        self._deadline = (
            datetime.fromisoformat(before.deadline) if before.deadline else workflow.now() + CHECKOUT_CLOCK
        )
        self._clock_runs = before.fraud_decision is None
        self._fraud = Gate[FraudDecision](FRAUD_DECISION.name, fact=before.fraud_decision)
        self._review = Gate[ManualReviewDecision](
            MANUAL_REVIEW_DECISION.name,
            clock=REVIEW_CLOCK,
            fact=before.review_decision,
            state=before.review_gate,
        )
        self._end: _End | None = None
        self._approved = False
        self._not_recorded: list[str] = []
        self._inbox = Inbox(before.signal_failures, checkout_id=self._checkout.checkout_id)

    @workflow.run
    async def run(self, submitted: RawValue) -> str:  # noqa: ARG002 - the SDK wants the signature of __init__
        """Check out ``submitted``, a ``CheckoutRequest``; or what is left of it after an earlier run."""
        if self._unreadable:
            raise ApplicationError(self._unreadable, type="InvalidOrderError", non_retryable=True)
        checkout = asyncio.create_task(self._check_out_or_undo())
        clock = asyncio.create_task(self._run_clock())
        cancelled_in_temporal = False
        while not self._is_over(checkout, clock):
            try:
                await workflow.wait_condition(lambda: self._is_over(checkout, clock))
            except asyncio.CancelledError:
                cancelled_in_temporal = True
                reason = workflow.cancellation_reason() or "cancelled in Temporal"
                self._stop(_RejectedError("CANCELLED", reason))
        try:
            self._note_state(checkout.result())
        except RunIsFullError:
            workflow.continue_as_new(replace(self._checkout, progress=self._progress()))
        if refused := (*self._undo.refused, *self._not_recorded):
            raise ApplicationError(f"refused for good: {'; '.join(refused)}", type="CompensationRefusedError")
        if cancelled_in_temporal and isinstance(self._end, _RejectedError) and self._end.code == "CANCELLED":
            raise asyncio.CancelledError
        return self._state

    def _is_over(self, checkout: asyncio.Task[str], clock: asyncio.Task[None]) -> bool:
        return checkout.done() and clock.done() and workflow.all_handlers_finished()

    # --- The steps, in the order of seed 000 ----------------------------------------------------------

    async def _validate(self) -> None:
        self._total = await self._do(VALIDATE_CHECKOUT, self._checkout)

    async def _authorize(self) -> None:
        self._undo.push(VOID_AUTHORIZATION)
        await self._do(
            AUTHORIZE_PAYMENT,
            AuthorizationRequest(
                self._order.order_id, self._total.amount, self._total.currency, self._checkout.payment_token
            ),
        )

    async def _create_order(self) -> None:
        self._undo.push(WITHDRAW_ORDER)
        await self._do(CREATE_ORDER, self._checkout.order())
        event_id = emitted_event_id("Emit Order Created Event")
        await self._do(EMIT_ORDER_EVENT, EventToEmit(self._order.order_id, "OrderCreated", event_id))

    async def _request_fraud_check(self) -> None:
        await self._do(REQUEST_FRAUD_CHECK, self._reference)

    async def _wait_for_decision(self) -> None:
        self._note_state("AWAITING_FRAUD_DECISION")
        decision: FraudDecision | ManualReviewDecision = await self._fraud.wait(leave=self._has_ended)
        code, who = "FRAUD", "fraud detection"
        self._clock_runs = False
        if decision.decision == REVIEW:
            self._note_state("AWAITING_MANUAL_REVIEW")
            try:
                decision = await self._review.wait(leave=self._has_ended)
            except ClockRanOutError:
                raise _ExpiredError(MANUAL_REVIEW_DECISION.name) from None
            code, who = "MANUAL_REVIEW", "a reviewer"
        if decision.decision == REJECTED:
            raise _RejectedError(code, decision.reason or f"{who} rejected it")
        self._approved = True
        self._undo.settle()
        self._note_state("RUNNING")

    async def _start_order(self) -> None:
        """Start it and leave it to itself; one that has started before, running or closed, is the one."""
        order_id = self._order.order_id
        try:
            await workflow.start_child_workflow(
                ORDER.name,
                OrderRequest(order_id),
                id=ORDER.workflow_id(order_id=order_id),
                task_queue=ORDER.queue,
                parent_close_policy=ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("order %s had been started", order_id)

    async def _complete(self) -> None:
        await self._record(COMPLETE_CHECKOUT, self._reference)

    # --- What is around a step ------------------------------------------------------------------------

    async def _check_out_or_undo(self) -> str:
        """The steps to their end; or, where the checkout comes to nothing, back from where they are."""
        self._note_state("RUNNING")
        try:
            for step, work in self._steps[self._steps_done :]:
                self._step = step
                await work()
                self._steps_done += 1
                self._blocked_by = None
        except LeftEarlyError:
            return await self._come_to_nothing()
        except (_RejectedError, _ExpiredError) as end:
            self._end = self._end or end
            return await self._come_to_nothing()
        finally:
            self._clock_runs = False
        return "COMPLETED"

    async def _come_to_nothing(self) -> str:
        """Void the authorisation, give up the order, and then say so."""
        self._clock_runs = False
        self._note_state("COMPENSATING")
        await self._undo.compensate(self._announce)
        checkout_id, order_id = self._reference.checkout_id, self._reference.order_id
        if isinstance(self._end, _ExpiredError):
            await self._record(EXPIRE_CHECKOUT, CheckoutExpiry(checkout_id, order_id, self._end.waited_for))
            return "EXPIRED"
        code = self._end.code if self._end else "CANCELLED"
        await self._record(
            REJECT_CHECKOUT, CheckoutRejection(checkout_id, order_id, code, str(self._end or code))
        )
        return "REJECTED"

    async def _run_clock(self) -> None:
        """The checkout's clock, as a timer inside. An approval, a review and the checkout's own end stop it."""
        try:
            await workflow.wait_condition(
                lambda: not self._clock_runs, timeout=self._deadline - workflow.now()
            )
        except TimeoutError:
            decided = self._state == "AWAITING_FRAUD_DECISION" and self._fraud.fact is not None
            if self._clock_runs and not decided:  # a decision that comes with the last stroke counts
                self._stop(_ExpiredError(FRAUD_DECISION.name))

    def _stop(self, end: _End) -> None:
        """End the checkout from outside of its steps, unless it is approved or is ending already."""
        if not self._approved and self._end is None:
            self._end = end

    def _has_ended(self) -> bool:
        return self._end is not None

    async def _do(self, activity: ActivityContract[Argument, Result], argument: Argument) -> Result:
        """One activity to its end; where the checkout ends meanwhile, it is not tried again.

        An attempt that is under way is let finish: its effect is then there for the compensation to undo.
        """
        self._announce(activity)
        attempts = activity.start(argument)
        await workflow.wait_condition(lambda: attempts.done() or self._has_ended())
        if not attempts.done():
            attempts.cancel()
        try:
            result = await attempts
        except ActivityError as error:
            raise self._end or _rejection(activity, error) from error
        if self._end is not None:
            raise self._end
        return result

    async def _record(self, activity: ActivityContract[Argument, None], argument: Argument) -> None:
        """Record how it ended. Where that is refused for good, the workflow fails in the end."""
        self._announce(activity)
        try:
            await activity(argument)
        except ActivityError as error:
            self._not_recorded.append(f"{activity.name}: {error.cause or error}")
        self._blocked_by = None

    def _announce(self, activity: ActivityContract[Any, Any]) -> None:
        self._blocked_by = f"{activity.name} has not succeeded yet (task queue {activity.queue})"

    def _note_state(self, state: str) -> None:
        self._state = state
        self._blocked_by = None
        note_status(state, order_id=self._order.order_id)

    def _progress(self) -> CheckoutProgress:
        return CheckoutProgress(
            steps_done=self._steps_done,
            deadline=self._deadline.isoformat(),
            compensations=self._undo.pending,
            fraud_decision=self._fraud.fact,
            review_decision=self._review.fact,
            review_gate=self._review.state,
            signal_failures=self._inbox.failures,
        )

    # --- Signals: raw values, read here; the first decision counts -------------------------------------

    @workflow.signal(name=FRAUD_DECISION.name)
    def fraud_decision(self, raw: RawValue) -> None:
        """Fraud detection has judged. May come before it is waited for."""
        if decision := self._inbox.receive(FRAUD_DECISION, raw):
            self._take(FRAUD_DECISION, self._fraud, decision, (APPROVED, REJECTED, REVIEW))

    @workflow.signal(name=MANUAL_REVIEW_DECISION.name)
    def manual_review_decision(self, raw: RawValue) -> None:
        """A person has judged. Counts where fraud detection asks for a review, now or later."""
        if decision := self._inbox.receive(MANUAL_REVIEW_DECISION, raw):
            self._take(MANUAL_REVIEW_DECISION, self._review, decision, (APPROVED, REJECTED))

    def _take(
        self,
        signal: SignalContract[Decision],
        gate: Gate[Decision],
        decision: Decision,
        known: tuple[str, ...],
    ) -> None:
        """Let the first decision count; note one that is none, that comes too late, or says otherwise."""
        said, counted = decision.decision, gate.fact
        if said not in known:
            self._inbox.note(signal.name, f"its decision is none of {', '.join(known)}")
        elif counted is not None:
            if counted.decision != said:
                self._inbox.note(signal.name, f"{said}, after it had been {counted.decision}")
        elif self._end is not None or self._approved:
            self._inbox.note(signal.name, f"{said}, after the checkout had been decided")
        else:
            gate.pass_with(decision)

    # --- Query ----------------------------------------------------------------------------------------

    @workflow.query(name=GET_SNAPSHOT)
    def get_snapshot(self) -> CheckoutSnapshot:
        """Everything that can be said about where the checkout stands."""
        fraud, review, end = self._fraud.fact, self._review.fact, self._end
        under_review = self._state == "AWAITING_MANUAL_REVIEW"
        deadline = self._review.state.deadline if under_review else None
        return CheckoutSnapshot(
            checkout_id=self._reference.checkout_id,
            order_id=self._reference.order_id,
            state=self._state,
            step=self._step,
            blocking_reason=self._blocked_by or self._fraud.waiting_for or self._review.waiting_for,
            deadline=self._deadline.isoformat() if self._clock_runs else deadline,
            fraud_decision=fraud.decision if fraud else None,
            review_decision=review.decision if review else None,
            code=end.code if isinstance(end, _RejectedError) else None,
            reason=str(end) if end else None,
            compensated=self._undo.done,
            refused=(*self._undo.refused, *self._not_recorded),
            signal_failures=self._inbox.failures,
        )


def _rejection(activity: ActivityContract[Any, Any], error: ActivityError) -> _RejectedError:
    """What a step that failed for good makes of the checkout.

    The message of a failure that a service means for people is passed on; of any other only its type is: a
    database's or a network's message may repeat what was sent.
    """
    cause = error.cause
    kind = cause.type if isinstance(cause, ApplicationError) and cause.type else type(cause or error).__name__
    if kind in _CODES:
        return _RejectedError(_CODES[kind], str(getattr(cause, "message", cause)))
    return _RejectedError("UNAVAILABLE", f"{activity.name} did not succeed: {kind}")
