"""Giving back what was taken: once for each refund id, and never more than is left."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from schemas.events import PaymentRefunded
from services.errors import IllegalTransitionError, RefundRefusedError
from services.payments.provider import PaymentProvider
from services.payments.rows import Call, PaymentRow, find_payment, note_answer
from services.payments.states import TAKEN, Operation, PaymentState, RefundState
from services.payments.tables import refunds
from services.publishing import Publisher, utc_now

NOTHING: Final = Decimal("0.00")

_CENT: Final = Decimal("0.01")
_MOST: Final = Decimal(10) ** 16


def as_money(amount: Decimal) -> Decimal | None:
    """``amount`` in hundredths, or ``None`` where it is no number of them that Decimal(18, 2) holds."""
    if not amount.is_finite() or abs(amount) >= _MOST or amount != (rounded := amount.quantize(_CENT)):
        return None
    return rounded


@dataclass(frozen=True, slots=True)
class _Asked:
    """A refund that was written down: with a ``call`` that is about to be made, or given already."""

    amount: Decimal
    call: Call | None = None
    authorization_id: str = ""
    currency: str = ""


class Refunds:
    """Refunds of payments that were captured."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], publisher: Publisher, provider: PaymentProvider
    ) -> None:
        self._sessions = sessions
        self._publisher = publisher
        self._provider = provider

    async def refund(self, order_id: str, refund_id: str, amount: Decimal | None) -> Decimal:
        """See :meth:`services.payments.operations.Payments.refund`, which frees first what is only held."""
        async with self._sessions.begin() as session:
            asked = await self._intend(session, order_id, refund_id, amount)
        if asked.call is None:
            return asked.amount
        try:
            await self._provider.refund(
                asked.authorization_id, asked.amount, asked.currency, key=asked.call.key
            )
        except RefundRefusedError:
            await self._record_refused(order_id, refund_id, asked.call)
            raise
        await self._record_done(order_id, refund_id, asked.call)
        return asked.amount

    async def _intend(
        self, session: AsyncSession, order_id: str, refund_id: str, amount: Decimal | None
    ) -> _Asked:
        """Put the amount aside for this refund, under the payment's lock, before the provider is asked."""
        if await find_payment(session, order_id) is None:
            return _Asked(NOTHING)
        payment = await PaymentRow.lock(session, self._publisher, order_id)
        there = await _find(session, refund_id)
        if there is None:
            if payment.state not in TAKEN:
                return _nothing_taken(payment)
            there = await _put_aside(session, payment, refund_id, amount)
        elif there["order_id"] != order_id:
            raise RefundRefusedError(f"refund {refund_id} belongs to another order than {order_id}")
        if there["state"] == RefundState.REFUSED:
            raise RefundRefusedError(f"refund {refund_id} of order {order_id} was refused by the provider")
        if there["state"] == RefundState.DONE:
            return _Asked(there["amount"])
        call = await payment.intend(Operation.REFUND, f"refund:{refund_id}")
        return _Asked(there["amount"], call, payment["authorization_id"], payment["currency"])

    async def _record_done(self, order_id: str, refund_id: str, call: Call) -> None:
        async with self._sessions.begin() as session:
            payment = await PaymentRow.lock(session, self._publisher, order_id)
            await note_answer(session, call, "OK")
            if not await _end(session, refund_id, RefundState.DONE):
                return
            amount = (await _known(session, refund_id))["amount"]
            refunded = payment["refunded"] + amount
            rest = refunded == payment["captured"]
            state = payment.step("refund_the_rest" if rest else "refund_a_part")
            event = PaymentRefunded(
                order_id=order_id,
                payment_id=payment["payment_id"],
                refund_id=refund_id,
                amount=amount,
                currency=payment["currency"],
                refunded_at=utc_now(),
            )
            await payment.change(event, state=state, refunded=refunded)

    async def _record_refused(self, order_id: str, refund_id: str, call: Call) -> None:
        async with self._sessions.begin() as session:
            await PaymentRow.lock(session, self._publisher, order_id)
            await note_answer(session, call, RefundRefusedError.__name__)
            await _end(session, refund_id, RefundState.REFUSED)


def _nothing_taken(payment: PaymentRow) -> _Asked:
    if payment.state in {PaymentState.VOIDED, PaymentState.FAILED}:
        return _Asked(NOTHING)
    raise IllegalTransitionError(
        f"payment of order {payment['order_id']} is {payment.state}: nothing is captured that could be refunded"
    )


async def _put_aside(
    session: AsyncSession, payment: PaymentRow, refund_id: str, amount: Decimal | None
) -> RowMapping:
    """Make the refund's row. What is under way counts as given, so two refunds at once cannot exceed it."""
    given = select(func.coalesce(func.sum(refunds.c.amount), 0)).where(
        refunds.c.order_id == payment["order_id"], refunds.c.state != RefundState.REFUSED
    )
    left = payment["captured"] - Decimal((await session.execute(given)).scalar_one())
    asked = left if amount is None else as_money(amount)
    if asked is None or asked < 0 or asked > left:
        raise RefundRefusedError(
            f"refund {refund_id} of {amount} {payment['currency']}: of what was taken for order "
            f"{payment['order_id']}, {left} is left to give back"
        )
    now = utc_now()
    done = asked == 0  # nothing to ask the provider for, and nothing to publish
    await session.execute(
        insert(refunds).values(
            refund_id=refund_id,
            order_id=payment["order_id"],
            amount=asked,
            state=RefundState.DONE if done else RefundState.PENDING,
            requested_at=now,
            ended_at=now if done else None,
        )
    )
    return await _known(session, refund_id)


async def _find(session: AsyncSession, refund_id: str) -> RowMapping | None:
    found = await session.execute(select(refunds).where(refunds.c.refund_id == refund_id))
    return found.mappings().one_or_none()


async def _known(session: AsyncSession, refund_id: str) -> RowMapping:
    return (await session.execute(select(refunds).where(refunds.c.refund_id == refund_id))).mappings().one()


async def _end(session: AsyncSession, refund_id: str, state: RefundState) -> bool:
    """PENDING → ``state``; False where an attempt that overlapped has ended it."""
    ended = (
        update(refunds)
        .where(refunds.c.refund_id == refund_id, refunds.c.state == RefundState.PENDING)
        .values(state=state, ended_at=utc_now())
        .returning(refunds.c.refund_id)
    )
    return (await session.execute(ended)).scalar_one_or_none() is not None
