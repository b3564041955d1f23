"""What payments can be asked to do: each operation idempotent by order id (a refund by its own) and guarded.

Each goes in three parts: a transaction that decides and writes down what the provider is about to be asked; the
call, outside any transaction, under an idempotency key; a transaction that looks again and writes down
the answer with its event. Two attempts that overlap ask under the same key and find one answer; a process that
dies in between leaves a row that says what hangs, and whoever comes next asks again.

Source: 000, "No duplicate charges"; 002, "Payment retries must be idempotent"; design §2, §7.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.ids import derived_id
from outbox import Outbox
from schemas.events import PaymentAuthorized, PaymentCaptured, PaymentFailed, PaymentVoided
from services.errors import (
    CardDeclinedError,
    CardInvalidError,
    FraudDetectedError,
    IllegalTransitionError,
    InsufficientFundsError,
    InvalidOrderError,
    PaymentRefusedError,
)
from services.payments.provider import AuthorizationClosedError, FraudModel, PaymentProvider
from services.payments.refunds import Refunds, as_money
from services.payments.rows import (
    Call,
    PaymentRow,
    find_payment,
    insert_payment,
    known_payment,
    note_answer,
    payment_id_of,
)
from services.payments.states import OVER, TAKEN, Operation, PaymentState
from services.payments.views import PaymentView, RefundView, read_counts, read_payments, read_refunds
from services.publishing import Publisher, utc_now

FRAUD_THRESHOLD: Final = 80
"""From this score on, of 100, a payment is taken for a fraud."""

_CURRENCY: Final = re.compile("[A-Z]{3}")

_CODES: Final[dict[str, type[PaymentRefusedError]]] = {
    "INSUFFICIENT_FUNDS": InsufficientFundsError,
    "CARD_INVALID": CardInvalidError,
    "DECLINED": CardDeclinedError,
}


class Payments:
    """The operations of payments, on the database behind ``sessions``; money moves at ``provider``."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox, provider: PaymentProvider
    ) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/payments")
        self._provider = provider
        self._refunds = Refunds(sessions, self._publisher, provider)

    # --- Operations -----------------------------------------------------------------------------------

    async def authorize(self, order_id: str, amount: Decimal, currency: str, payment_token: str) -> str:
        """Have the provider hold what the order costs; the payment's id. Publishes PaymentAuthorized.

        Raises :class:`CardDeclinedError`, :class:`CardInvalidError` or :class:`InsufficientFundsError` where the
        provider says no, the same again for a repeat, and publishes PaymentFailed once, without a flow: there is no
        order yet. Raises :class:`IllegalTransitionError` for a payment that was voided, or that was begun
        over another amount, and :class:`InvalidOrderError` for an amount that is none.
        """
        owed = as_money(amount)
        if owed is None or owed < 0 or not _CURRENCY.fullmatch(currency):
            raise InvalidOrderError(f"order {order_id}: {amount} {currency} is no amount to hold")
        async with self._sessions.begin() as session:
            await insert_payment(
                session,
                order_id,
                PaymentState.NEW,
                amount=owed,
                currency=currency,
                payment_token=payment_token,
            )
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            if payment.state is PaymentState.FAILED:
                raise _CODES[payment["failure_code"]](payment["failure_reason"])
            if payment.step("authorize") is None or payment["closing"]:
                _refuse_if_closing(payment)
                return payment_id_of(order_id)
            if (payment["amount"], payment["currency"]) != (owed, currency):
                raise IllegalTransitionError(
                    f"payment of order {order_id} is over {payment['amount']} {payment['currency']}: "
                    f"{owed} {currency} cannot be authorised under the same order"
                )
            call = await payment.intend(Operation.AUTHORIZE, _authorize_key(order_id))
        await self._ask_to_authorize(order_id, call)
        return payment_id_of(order_id)

    async def capture(self, order_id: str) -> None:
        """Take what is held: AUTHORIZED → CAPTURED; publishes PaymentCaptured.

        Raises :class:`InsufficientFundsError` where the provider says no for good,
        :class:`IllegalTransitionError` where nothing is held, or it is being freed.
        """
        async with self._sessions.begin() as session:
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            if payment.step("capture") is None:
                return
            _refuse_if_closing(payment)
            call = await payment.intend(Operation.CAPTURE, f"capture:{payment['payment_id']}")
        try:
            await self._provider.capture(
                payment["authorization_id"], payment["amount"], payment["currency"], key=call.key
            )
        except AuthorizationClosedError as error:
            if not error.captured:
                await self._note(call, "CLOSED")
                raise IllegalTransitionError(f"order {order_id}: {error}") from error
        except PaymentRefusedError as error:
            await self._note(call, type(error).__name__)
            raise
        await self._record_captured(order_id, call)

    async def void(self, order_id: str) -> None:
        """Take back whatever the payment has done, and let nothing more come of it; publishes PaymentVoided.

        What is held is freed; what was taken in the meantime is given back in full (PaymentRefunded); where
        nothing was asked for yet, that is remembered, so that a late authorisation takes nothing. A repeat changes
        nothing, and no state is illegal: this is a compensation.
        """
        while await self._close(order_id):
            pass
        async with self._sessions() as session:
            state = PaymentState((await known_payment(session, order_id))["state"])
        if state in TAKEN:
            await self._refunds.refund(order_id, str(derived_id("refund", order_id)), None)

    async def fail(self, order_id: str, code: str, reason: str) -> bool:
        """The payment comes to nothing: free what is held; publishes PaymentFailed, once.

        False, and nothing is published but what was missing, where the provider has taken the money after all: that
        stands. ``code`` is for programs, ``reason`` a sentence for people.
        """
        while await self._close(order_id):
            pass
        async with self._sessions.begin() as session:
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            if payment.state not in OVER:
                return False
            if payment["failure_code"] is None:
                now = utc_now()
                failed = PaymentFailed(
                    order_id=order_id,
                    payment_id=payment["payment_id"],
                    code=code,
                    reason=reason,
                    failed_at=now,
                )
                await payment.change(failed, failure_code=code, failure_reason=reason, failed_at=now)
            return True

    async def refund(self, order_id: str, refund_id: str, amount: Decimal | None = None) -> Decimal:
        """Give ``amount`` back, or all that is left, once for each ``refund_id``; what was given back.

        Publishes PaymentRefunded. Gives 0 where nothing was taken and nothing will be; what is only held is
        freed where no amount was asked for. Raises :class:`RefundRefusedError` for more than is left,
        counting refunds that are under way, and :class:`IllegalTransitionError` for an amount of a payment that is
        not captured yet.
        """
        async with self._sessions() as session:
            found = await find_payment(session, order_id)
        if amount is None and found is not None:
            while await self._close(order_id):
                pass
        return await self._refunds.refund(order_id, refund_id, amount)

    async def check_fraud(self, order_id: str, model: FraudModel) -> None:
        """Raises :class:`FraudDetectedError` where the provider's ``model`` takes the payment for a fraud."""
        authorization_id = (await self._held(order_id))[0]
        score = await self._provider.fraud_score(authorization_id, model)
        if score >= FRAUD_THRESHOLD:
            raise FraudDetectedError(
                f"the payment of order {order_id} scores {score} of 100 for fraud (model {model})"
            )

    async def validate_card(self, order_id: str) -> None:
        """Raises :class:`CardInvalidError` where the card behind the payment cannot be used any more."""
        problem = await self._provider.card_problem((await self._held(order_id))[1])
        if problem is not None:
            raise CardInvalidError(f"the card of order {order_id} cannot be used: {problem}")

    # --- Reading --------------------------------------------------------------------------------------

    async def payment(self, order_id: str) -> PaymentView | None:
        """The order's payment, or ``None``."""
        async with self._sessions() as session:
            found = await read_payments(session, order_id=order_id)
        return found[0] if found else None

    async def payments(self, state: str | None = None, limit: int = 100) -> list[PaymentView]:
        """At most ``limit`` payments, newest first, only those in ``state`` where one is given."""
        async with self._sessions() as session:
            return await read_payments(session, state=state, limit=limit)

    async def refunds(self, order_id: str) -> list[RefundView]:
        """The refunds of an order, oldest first."""
        async with self._sessions() as session:
            return await read_refunds(session, order_id)

    async def counts(self) -> dict[str, int]:
        """How many payments are in each state."""
        async with self._sessions() as session:
            return await read_counts(session)

    # --- Asking the provider, and writing down what it said --------------------------------------------

    async def _held(self, order_id: str) -> tuple[str, str]:
        async with self._sessions() as session:
            payment = await known_payment(session, order_id)
        if payment["authorization_id"] is None:
            raise IllegalTransitionError(
                f"payment of order {order_id} is {payment['state']}: nothing is held"
            )
        return payment["authorization_id"], payment["payment_token"]

    async def _ask_to_authorize(self, order_id: str, call: Call) -> None:
        """Ask, or ask again what became of it; NEW → AUTHORIZED, or NEW → FAILED and the refusal is raised."""
        async with self._sessions() as session:
            asked = await known_payment(session, order_id)
        try:
            authorization_id = await self._provider.authorize(
                asked["payment_id"], asked["amount"], asked["currency"], asked["payment_token"], key=call.key
            )
        except PaymentRefusedError as error:
            await self._record_refused(order_id, call, error)
            raise
        async with self._sessions.begin() as session:
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            await note_answer(session, call, "OK")
            state = payment.step("authorize")
            if state is None:
                return
            now = utc_now()
            authorized = PaymentAuthorized(
                order_id=order_id,
                payment_id=payment["payment_id"],
                amount=payment["amount"],
                currency=payment["currency"],
                authorized_at=now,
            )
            await payment.change(
                authorized, state=state, authorization_id=authorization_id, authorized_at=now
            )

    async def _record_refused(self, order_id: str, call: Call, error: PaymentRefusedError) -> None:
        async with self._sessions.begin() as session:
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            await note_answer(session, call, type(error).__name__)
            state = payment.step("decline")
            if state is None:
                return
            now = utc_now()
            code = next((code for code, kind in _CODES.items() if type(error) is kind), "DECLINED")
            failed = PaymentFailed(
                order_id=order_id,
                payment_id=payment["payment_id"],
                code=code,
                reason=str(error),
                failed_at=now,
            )
            await payment.change(
                failed, flow=None, state=state, failure_code=code, failure_reason=str(error), failed_at=now
            )

    async def _record_captured(self, order_id: str, call: Call) -> None:
        async with self._sessions.begin() as session:
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            await note_answer(session, call, "OK")
            state = payment.step("capture")
            if state is None:
                return
            now = utc_now()
            captured = PaymentCaptured(
                order_id=order_id,
                payment_id=payment["payment_id"],
                amount=payment["amount"],
                currency=payment["currency"],
                captured_at=now,
            )
            await payment.change(captured, state=state, captured=payment["amount"], captured_at=now)

    async def _close(self, order_id: str) -> bool:
        """One step towards nothing being held; False once nothing is: it was freed, refused, or taken."""
        async with self._sessions.begin() as session:
            if await insert_payment(session, order_id, PaymentState.VOIDED, voided_at=utc_now()):
                return False
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            if payment.state in TAKEN | OVER:
                return False
            await payment.change(closing=True)
            if payment.state is PaymentState.NEW:
                # Whether something is held is not known. Under its key, the provider tells what became of it.
                call = await payment.intend(Operation.AUTHORIZE, _authorize_key(order_id))
            else:
                call = await payment.intend(Operation.VOID, f"void:{payment['payment_id']}")
        if payment.state is PaymentState.NEW:
            try:
                await self._ask_to_authorize(order_id, call)
            except PaymentRefusedError:
                return False
            return True
        try:
            await self._provider.void(payment["authorization_id"], key=call.key)
        except AuthorizationClosedError as error:
            if error.captured:
                await self._record_captured(order_id, call)
                return True
        await self._record_voided(order_id, call)
        return True

    async def _record_voided(self, order_id: str, call: Call) -> None:
        async with self._sessions.begin() as session:
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            await note_answer(session, call, "OK")
            state = payment.step("void")
            if state is None:
                return
            now = utc_now()
            voided = PaymentVoided(
                order_id=order_id,
                payment_id=payment["payment_id"],
                amount=payment["amount"],
                currency=payment["currency"],
                voided_at=now,
            )
            await payment.change(voided, state=state, voided_at=now)

    async def _note(self, call: Call, answer: str) -> None:
        async with self._sessions.begin() as session:
            await note_answer(session, call, answer)


def _refuse_if_closing(payment: PaymentRow) -> None:
    if payment["closing"] and payment.state not in TAKEN:
        raise IllegalTransitionError(f"payment of order {payment['order_id']} is being taken back")


def _authorize_key(order_id: str) -> str:
    return f"authorize:{payment_id_of(order_id)}"
