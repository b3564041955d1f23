"""The payment of an order: look for fraud and at the card, then take what is held.

v2 of seed 002. A payment that began under v1 goes on as v1: ``CheckFraud``, then the capture, five attempts each.

Source: 002, "From v1 to v2", "Payment-Specific Retries".
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.activities.contracts.payment import (
    CAPTURE_PAYMENT,
    CAPTURE_PAYMENT_V1,
    CHECK_FRAUD,
    CHECK_FRAUD_V2,
    FAIL_PAYMENT,
    VALIDATE_CARD,
    PaymentFailure,
)
from workflows.blocks.fan_out import collect_all
from workflows.contracts.payment import (
    CAPTURED,
    GET_SNAPSHOT,
    PAYMENT,
    PAYMENT_CANCELLED,
    PAYMENT_FAILURE_CODES,
    PAYMENT_UNAVAILABLE,
    PaymentRequest,
    PaymentSnapshot,
)
from workflows.patches import PAYMENT_V2, patched
from workflows.visibility import note_status


class _CancelledError(Exception):
    """Somebody cancelled the payment before it was taken."""


@workflow.defn(name=PAYMENT.name)
class PaymentWorkflow:
    """Takes what is held for one order, and gives ``CAPTURED``.

    Where that comes to nothing it frees what is held, says so (PaymentFailed), and fails with an error whose type
    says why. Cancelled, it does the same and ends cancelled, unless the money is taken already. The attempts to
    capture may be used up with the money taken, the answer lost: giving up then finds it, and the payment stands.
    """

    @workflow.init
    def __init__(self, payment: PaymentRequest) -> None:
        self._payment = payment
        self._state = "CHECKING"
        self._blocked_by: str | None = None
        self._code: str | None = None
        self._cancelled = False

    @workflow.run
    async def run(self, payment: PaymentRequest) -> str:
        """Take the payment of ``payment.order_id``."""
        steps = asyncio.create_task(self._take(payment))
        life = asyncio.create_task(self._take_or_fail(steps))
        while not life.done():
            try:
                await workflow.wait_condition(life.done)
            except asyncio.CancelledError:
                self._cancelled = True
                steps.cancel()
        return life.result()

    # --- The steps, in the order of seed 002 ----------------------------------------------------------

    async def _take(self, payment: PaymentRequest) -> None:
        if patched(PAYMENT_V2):
            self._show("CHECKING", CHECK_FRAUD_V2.name, VALIDATE_CARD.name)
            checks = await collect_all([lambda: CHECK_FRAUD_V2(payment), lambda: VALIDATE_CARD(payment)])
            self._stop_if_cancelled()
            self._stop_if_refused([check.error for check in checks if check.error])

            self._show("CAPTURING", CAPTURE_PAYMENT.name)
            await CAPTURE_PAYMENT(payment)
        else:
            self._show("CHECKING", CHECK_FRAUD.name)
            await CHECK_FRAUD(payment)
            self._stop_if_cancelled()

            self._show("CAPTURING", CAPTURE_PAYMENT.name)
            await CAPTURE_PAYMENT_V1(payment)

    # --- What is around them --------------------------------------------------------------------------

    async def _take_or_fail(self, steps: asyncio.Task[None]) -> str:
        try:
            await steps
        except (ActivityError, _CancelledError, asyncio.CancelledError) as error:
            kind, reason = self._why(error)
        else:
            return self._captured()
        self._code = PAYMENT_FAILURE_CODES[kind]
        self._show("FAILING", FAIL_PAYMENT.name)
        if await FAIL_PAYMENT(PaymentFailure(self._payment.order_id, self._code, reason)) == CAPTURED:
            self._code = None
            return self._captured()  # its answer was lost, and it had been taken
        self._show("FAILED")
        if self._cancelled:
            raise asyncio.CancelledError
        raise ApplicationError(reason, type=kind, non_retryable=True)

    def _why(self, error: BaseException) -> tuple[str, str]:
        """What kind of failure it is, and a sentence for people."""
        cause = error.cause if isinstance(error, ActivityError) else None
        kind, reason = "", str(cause or error or "the payment was cancelled")
        if isinstance(cause, ApplicationError):
            kind, reason = cause.type or "", cause.message
        if self._cancelled or kind == "IllegalTransitionError":
            return PAYMENT_CANCELLED, reason
        return (kind if kind in PAYMENT_FAILURE_CODES else PAYMENT_UNAVAILABLE), reason

    def _captured(self) -> str:
        self._show(CAPTURED)
        return CAPTURED

    def _stop_if_cancelled(self) -> None:
        if self._cancelled:
            raise _CancelledError

    def _stop_if_refused(self, errors: Sequence[Exception]) -> None:
        """Of several errors the first refusal counts, whichever came first: the code of a failure is no race."""
        if errors:
            raise next((error for error in errors if self._why(error)[0] != PAYMENT_UNAVAILABLE), errors[0])

    def _show(self, state: str, *asked: str) -> None:
        self._state = state
        self._blocked_by = (
            f"{' and '.join(asked)} not done yet (task queue {FAIL_PAYMENT.queue})" if asked else None
        )
        note_status(state, order_id=self._payment.order_id, since=PAYMENT_V2)

    @workflow.query(name=GET_SNAPSHOT)
    def get_snapshot(self) -> PaymentSnapshot:
        """Where the payment stands."""
        return PaymentSnapshot(self._payment.order_id, self._state, self._blocked_by, self._code)
