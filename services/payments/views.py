"""What payments tells about itself, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.payments.states import PaymentState, RefundState
from services.payments.tables import payments, refunds


@dataclass(frozen=True, slots=True)
class PaymentView:
    """A payment. ``amount`` and ``currency`` are None where it was voided before it was asked for.

    ``closing``: it is being taken back, or was. ``authorization_id`` is the provider's.
    """

    order_id: str
    payment_id: str
    state: PaymentState
    closing: bool
    amount: Decimal | None
    currency: str | None
    authorization_id: str | None
    captured: Decimal
    refunded: Decimal
    failure_code: str | None
    failure_reason: str | None
    requested_at: datetime
    authorized_at: datetime | None
    captured_at: datetime | None
    voided_at: datetime | None
    failed_at: datetime | None


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund, given or under way."""

    refund_id: str
    order_id: str
    amount: Decimal
    state: RefundState
    requested_at: datetime
    ended_at: datetime | None


async def read_payments(
    session: AsyncSession, *, order_id: str | None = None, state: str | None = None, limit: int = 100
) -> list[PaymentView]:
    """At most ``limit`` payments, newest first, of one order or in one state where given."""
    query = select(payments).order_by(payments.c.requested_at.desc(), payments.c.order_id).limit(limit)
    if order_id is not None:
        query = query.where(payments.c.order_id == order_id)
    if state is not None:
        query = query.where(payments.c.state == state)
    return [
        PaymentView(
            order_id=row["order_id"],
            payment_id=row["payment_id"],
            state=PaymentState(row["state"]),
            closing=row["closing"],
            amount=row["amount"],
            currency=row["currency"],
            authorization_id=row["authorization_id"],
            captured=row["captured"],
            refunded=row["refunded"],
            failure_code=row["failure_code"],
            failure_reason=row["failure_reason"],
            requested_at=row["requested_at"],
            authorized_at=row["authorized_at"],
            captured_at=row["captured_at"],
            voided_at=row["voided_at"],
            failed_at=row["failed_at"],
        )
        for row in (await session.execute(query)).mappings()
    ]


async def read_refunds(session: AsyncSession, order_id: str) -> list[RefundView]:
    """The refunds of an order, oldest first."""
    query = select(refunds).where(refunds.c.order_id == order_id).order_by(refunds.c.requested_at)
    return [
        RefundView(
            refund_id=row["refund_id"],
            order_id=row["order_id"],
            amount=row["amount"],
            state=RefundState(row["state"]),
            requested_at=row["requested_at"],
            ended_at=row["ended_at"],
        )
        for row in (await session.execute(query)).mappings()
    ]


async def read_counts(session: AsyncSession) -> dict[str, int]:
    """How many payments are in each state; every state is named."""
    counts = dict.fromkeys((str(state) for state in PaymentState), 0)
    grouped = select(payments.c.state, func.count()).group_by(payments.c.state)
    for state, number in await session.execute(grouped):
        counts[state] = number
    return counts
