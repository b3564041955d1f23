"""Goods that come back: policy check, label, parcel, inspection, refund, restock or scrap.

Source: 000, "Durable Workflows (Checkout/Fulfillment/Returns)"; design §7, ReturnWorkflow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError, RetryState

from infra.ids import derived_id
from workflows.activities.contracts.base import ActivityContract
from workflows.activities.contracts.payment import REFUND_PAYMENT, RefundRequest
from workflows.activities.contracts.returns import (
    APPROVE_RETURN,
    ASSESS_RETURN,
    CANCEL_RETURN_LABEL,
    CHECK_RETURN_POLICY,
    COMPENSATIONS,
    COMPLETE_RETURN,
    GENERATE_RETURN_LABEL,
    REJECT_RETURN,
    RESTOCK_RETURN,
    SEND_RETURN_REMINDER,
    InspectedReturn,
    LabelledReturn,
    RefundedReturn,
    RestockRequest,
    ReturnReference,
    ReturnRejection,
    ReturnReminder,
    ReturnSettlement,
)
from workflows.blocks.endings import ClockRanOutError, LeftEarlyError, RunIsFullError
from workflows.blocks.gate import Gate
from workflows.blocks.saga import Saga
from workflows.contracts.returns import (
    GET_SNAPSHOT,
    RETURN,
    RETURN_INSPECTED,
    RETURN_RECEIVED,
    InspectionReport,
    ReceiptReport,
    ReturnSnapshot,
)
from workflows.policies import INSPECTION_CLOCK, NEXT_ROUND, RECEIPT_CLOCK, RECEIPT_REMINDER
from workflows.return_progress import ReturnInput, ReturnProgress
from workflows.signals import Inbox
from workflows.visibility import note_status

Argument = TypeVar("Argument")
Result = TypeVar("Result")

NOTHING: Final = "0.00"
"""What is refunded where nothing is owed: an order that was not paid through tidegate."""

_DISPOSITIONS: Final = ("restock", "scrap", "reject")


class _RejectedError(Exception):
    """The return ends without a refund. ``code`` is for programs, the message for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class _RefusedError(Exception):
    """A service refused a step for good; the message says which and why."""


@workflow.defn(name=RETURN.name)
class ReturnWorkflow:
    """Takes one return to its end, and gives what became of it: ``COMPLETED`` or ``REJECTED``.

    A service that is away is waited for, round by round of attempts: the customer's goods and money hang on it.
    The *workflow* fails only where a service refused a step for good, so that a person looks at it; what can still
    be done is done before. Cancelling it in Temporal rejects the return until its parcel has come, and has no
    effect from then on.
    """

    @workflow.init
    def __init__(self, one: ReturnInput) -> None:
        before = one.progress or ReturnProgress()
        self._return = ReturnReference(one.return_id, one.order_id)
        self._steps: tuple[tuple[str, Callable[[], Any]], ...] = (
            ("Check Policy", self._check_policy),
            ("Generate Label", self._generate_label),
            ("Approve Return", self._approve_return),
            ("Wait for Parcel", self._wait_for_parcel),
            ("Wait for Inspection", self._wait_for_inspection),
            ("Settle", self._settle),
            ("Refund", self._refund),
            ("Restock or Scrap", self._restock_or_scrap),
            ("Complete", self._complete),
        )
        self._steps_done = before.steps_done
        self._step = self._steps[before.steps_done][0]
        self._state = "RUNNING"
        self._blocked_by: str | None = None
        self._undo = Saga(self._return, COMPENSATIONS, before.compensations)
        self._parcel = Gate[ReceiptReport](
            RETURN_RECEIVED.name,
            clock=RECEIPT_CLOCK,
            remind_every=RECEIPT_REMINDER,
            fact=before.receipt,
            state=before.receipt_gate,
        )
        self._inspection = Gate[InspectionReport](
            RETURN_INSPECTED.name,
            remind_every=INSPECTION_CLOCK,
            fact=before.inspection,
            state=before.inspection_gate,
        )
        self._overdue = self._inspection.state.reminded > 0
        self._tracking_number = ""
        self._settlement = ReturnSettlement(NOTHING, 0)
        self._refunded: str | None = None
        self._end: _RejectedError | None = None
        self._refused: list[str] = []
        self._inbox = Inbox(before.signal_failures, return_id=one.return_id, order_id=one.order_id)

    @workflow.run
    async def run(self, one: ReturnInput) -> str:
        """Take ``one`` to its end, or on from where an earlier run has left it."""
        life = asyncio.create_task(self._take_back_or_reject())
        cancelled_in_temporal = False
        while not (life.done() and workflow.all_handlers_finished()):
            try:
                await workflow.wait_condition(lambda: life.done() and workflow.all_handlers_finished())
            except asyncio.CancelledError:
                if self._parcel.fact is None and self._end is None:
                    cancelled_in_temporal = True
                    self._end = _RejectedError("CANCELLED", workflow.cancellation_reason() or "cancelled")
        try:
            self._note_state(life.result())
        except RunIsFullError:
            workflow.continue_as_new(replace(one, progress=self._progress()))
        if refused := (*self._undo.refused, *self._refused):
            raise ApplicationError(f"refused for good: {'; '.join(refused)}", type="CompensationRefusedError")
        if cancelled_in_temporal:
            raise asyncio.CancelledError
        return self._state

    # --- The steps, in the order of seed 000 ----------------------------------------------------------

    async def _check_policy(self) -> None:
        verdict = await self._do(CHECK_RETURN_POLICY, self._return)
        if not verdict.accepted:
            raise _RejectedError("POLICY", verdict.reason or "the policy does not allow it")

    async def _generate_label(self) -> None:
        self._undo.push(CANCEL_RETURN_LABEL)
        self._tracking_number = await self._do(GENERATE_RETURN_LABEL, self._return)

    async def _approve_return(self) -> None:
        one = self._return
        await self._do(APPROVE_RETURN, LabelledReturn(one.return_id, one.order_id, self._tracking_number))

    async def _wait_for_parcel(self) -> None:
        self._note_state("WAITING_FOR_PARCEL")
        try:
            await self._parcel.wait(leave=lambda: self._end is not None, remind=self._remind_customer)
        except ClockRanOutError as error:
            raise _RejectedError("NOT_RECEIVED", str(error)) from None
        self._undo.settle()

    async def _wait_for_inspection(self) -> None:
        """No clock ends this wait: the goods are here, and the customer has done what was theirs to do."""
        self._note_state("WAITING_FOR_INSPECTION")
        await self._inspection.wait(remind=self._remind_warehouse)
        self._note_state("RUNNING")

    async def _settle(self) -> None:
        found = self._inspection.fact
        one = InspectedReturn(self._return.return_id, self._return.order_id, found.lines if found else ())
        self._settlement = await self._do(ASSESS_RETURN, one)
        if not self._settlement.accepted:
            raise _RejectedError("NOT_ACCEPTED", "nothing of what came back can be accepted")

    async def _refund(self) -> None:
        self._refunded = NOTHING
        if self._settlement.amount != NOTHING:
            refund_id = str(derived_id("refund", self._return.return_id))
            refund = RefundRequest(self._return.order_id, refund_id, self._settlement.amount)
            self._refunded = await self._or_noted(REFUND_PAYMENT, refund)

    async def _restock_or_scrap(self) -> None:
        """What is not put on the shelf is scrap: the settlement has it on record."""
        one = self._return
        if self._settlement.restock:
            await self._or_noted(
                RESTOCK_RETURN, RestockRequest(one.return_id, one.order_id, self._settlement.restock)
            )

    async def _complete(self) -> None:
        one = self._return
        if self._refunded is not None and not self._refused:
            await self._or_noted(COMPLETE_RETURN, RefundedReturn(one.return_id, one.order_id, self._refunded))

    # --- What is around a step ------------------------------------------------------------------------

    async def _take_back_or_reject(self) -> str:
        """The steps to their end; or, where the return is rejected, back from where they are."""
        self._note_state("RUNNING")
        try:
            for step, work in self._steps[self._steps_done :]:
                self._step = step
                await work()
                self._steps_done += 1
                self._blocked_by = None
        except (_RejectedError, LeftEarlyError) as end:
            self._end = self._end or (end if isinstance(end, _RejectedError) else None)
        except _RefusedError as error:
            self._refused.append(str(error))
        else:
            return "COMPLETED"
        self._note_state("COMPENSATING")
        await self._undo.compensate(self._announce)
        if self._end is not None:
            one = self._return
            rejection = ReturnRejection(one.return_id, one.order_id, self._end.code, str(self._end))
            await self._or_noted(REJECT_RETURN, rejection)
        return "REJECTED"

    async def _do(self, activity: ActivityContract[Argument, Result], argument: Argument) -> Result:
        """One activity until it has succeeded, in rounds of as many attempts as its policy has.

        Where the return is cancelled meanwhile, it is not tried again; an attempt that is under way is let finish.
        Raises :class:`_RefusedError` for what no attempt can mend.
        """
        while True:
            self._announce(activity)
            attempts = activity.start(argument)
            await workflow.wait_condition(lambda: attempts.done() or self._is_cancelled())  # noqa: B023
            if not attempts.done():
                attempts.cancel()
            try:
                result = await attempts
            except ActivityError as error:
                if not self._is_cancelled() and error.retry_state is RetryState.NON_RETRYABLE_FAILURE:
                    raise _RefusedError(f"{activity.name}: {error.cause or error}") from error
            else:
                if not self._is_cancelled():
                    return result
            if self._is_cancelled():
                raise LeftEarlyError
            await self._pause(activity)

    async def _or_noted(
        self, activity: ActivityContract[Argument, Result], argument: Argument
    ) -> Result | None:
        """As :meth:`_do`; where the step is refused for good, that is noted and the steps behind it are done."""
        try:
            return await self._do(activity, argument)
        except _RefusedError as error:
            self._refused.append(str(error))
            return None

    async def _pause(self, activity: ActivityContract[Any, Any]) -> None:
        self._blocked_by = (
            f"{activity.name} has used up its attempts (task queue {activity.queue}): tried again "
            f"at {(workflow.now() + NEXT_ROUND).isoformat()}"
        )
        try:
            await workflow.wait_condition(self._is_cancelled, timeout=NEXT_ROUND)
        except TimeoutError:
            return

    def _is_cancelled(self) -> bool:
        return self._end is not None and self._state != "COMPENSATING"

    async def _remind_customer(self, number: int) -> None:
        one = self._return
        await SEND_RETURN_REMINDER(ReturnReminder(one.return_id, one.order_id, "PARCEL", number))

    async def _remind_warehouse(self, number: int) -> None:
        self._overdue = True
        one = self._return
        await SEND_RETURN_REMINDER(ReturnReminder(one.return_id, one.order_id, "INSPECTION", number))

    def _announce(self, activity: ActivityContract[Any, Any]) -> None:
        self._blocked_by = f"{activity.name} has not succeeded yet (task queue {activity.queue})"

    def _note_state(self, state: str) -> None:
        self._state = state
        self._blocked_by = None
        note_status(state, order_id=self._return.order_id)

    def _progress(self) -> ReturnProgress:
        return ReturnProgress(
            steps_done=self._steps_done,
            compensations=self._undo.pending,
            receipt=self._parcel.fact,
            receipt_gate=self._parcel.state,
            inspection=self._inspection.fact,
            inspection_gate=self._inspection.state,
            signal_failures=self._inbox.failures,
        )

    # --- Signals: raw values, read here; the first report counts ---------------------------------------

    @workflow.signal(name=RETURN_RECEIVED.name)
    def return_received(self, raw: RawValue) -> None:
        """The parcel has come. May be known before the return is approved here."""
        if report := self._inbox.receive(RETURN_RECEIVED, raw):
            if self._end is None:
                self._parcel.pass_with(report)
            else:
                self._inbox.note(
                    RETURN_RECEIVED.name, f"after the return had been rejected ({self._end.code})"
                )

    @workflow.signal(name=RETURN_INSPECTED.name)
    def return_inspected(self, raw: RawValue) -> None:
        """The warehouse has looked at it; so it has come, even if nobody has said so yet."""
        report = self._inbox.receive(RETURN_INSPECTED, raw)
        if report is None:
            return
        if any(line.disposition not in _DISPOSITIONS or line.quantity < 0 for line in report.lines):
            self._inbox.note(RETURN_INSPECTED.name, f"a disposition is none of {', '.join(_DISPOSITIONS)}")
        elif self._end is not None:
            self._inbox.note(RETURN_INSPECTED.name, f"after the return had been rejected ({self._end.code})")
        else:
            self._parcel.pass_with(ReceiptReport(report.return_id, report.order_id, report.inspected_at))
            self._inspection.pass_with(report)

    # --- Query ----------------------------------------------------------------------------------------

    @workflow.query(name=GET_SNAPSHOT)
    def get_snapshot(self) -> ReturnSnapshot:
        """Everything that can be said about where the return stands."""
        waits_for_parcel = self._state == "WAITING_FOR_PARCEL"
        return ReturnSnapshot(
            return_id=self._return.return_id,
            order_id=self._return.order_id,
            state=self._state,
            step=self._step,
            blocking_reason=self._blocked_by or self._parcel.waiting_for or self._inspection.waiting_for,
            deadline=self._parcel.state.deadline if waits_for_parcel else None,
            inspection_overdue=self._overdue,
            refunded=self._refunded,
            code=self._end.code if self._end else None,
            reason=str(self._end) if self._end else None,
            compensated=self._undo.done,
            refused=(*self._undo.refused, *self._refused),
            signal_failures=self._inbox.failures,
        )
