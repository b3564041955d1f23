"""Requests to cancel an order, and what became of them: one row an order, answered once.

The caller holds the lock of the order's row.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from infra.errors import InvalidInputError
from infra.ids import is_word
from schemas.events import OrderCancelRequested
from services.oms.states import CancellationStatus, OrderState, answer_to_cancellation
from services.oms.tables import cancellations
from services.publishing import utc_now


def refuse_sentences(**fields: str | None) -> None:
    """Raise :class:`InvalidInputError`, without showing it, for one of ``fields`` that is not a code of one word: a
    sentence may hold anything (000, "Security").
    """
    for field, value in fields.items():
        if value is not None and not is_word(value):
            raise InvalidInputError(
                f"the {field} of a cancellation is a code: one word of letters, digits and . _ : / ~ -, "
                "as customer-request"
            )


async def note_request(
    session: AsyncSession, order: RowMapping, requested_by: str, reason: str | None
) -> tuple[CancellationStatus, OrderCancelRequested | None]:
    """Where the request for ``order`` stands, and the event that is to be published where it is new and open.

    The first request is noted, and refused at once where the order's state says so; asked again, the standing answer is
    given.
    """
    order_id = order["order_id"]
    standing = select(cancellations.c.status).where(cancellations.c.order_id == order_id)
    if status := (await session.execute(standing)).scalar_one_or_none():
        return CancellationStatus(status), None
    state = OrderState(order["state"])
    answer = answer_to_cancellation(state)
    now = utc_now()
    is_open = answer is CancellationStatus.REQUESTED
    await session.execute(
        insert(cancellations).values(
            order_id=order_id,
            status=answer,
            requested_by=requested_by,
            reason=reason,
            answer=None if is_open else f"the order is {state}",
            requested_at=now,
            answered_at=None if is_open else now,
        )
    )
    if not is_open:
        return answer, None
    requested = OrderCancelRequested(
        order_id=order_id, requested_by=requested_by, reason=reason, requested_at=now
    )
    return answer, requested


async def note_refusal(session: AsyncSession, order_id: str, reason: str) -> None:
    """Refuse the request that is open; where none is on record, record the refusal by itself."""
    now = utc_now()
    refused = upsert(cancellations).values(
        order_id=order_id,
        status=CancellationStatus.REFUSED,
        requested_by="unknown",
        answer=reason,
        requested_at=now,
        answered_at=now,
    )
    await session.execute(
        refused.on_conflict_do_update(
            index_elements=[cancellations.c.order_id],
            set_={"status": CancellationStatus.REFUSED, "answer": reason, "answered_at": now},
            where=cancellations.c.status == CancellationStatus.REQUESTED,
        )
    )


async def answer_request(session: AsyncSession, order_id: str, state: OrderState, now: datetime) -> None:
    """Answer the request that is open, where one is and the state that the order has come to is an answer."""
    if (status := answer_to_cancellation(state)) is CancellationStatus.REQUESTED:
        return
    await session.execute(
        update(cancellations)
        .where(cancellations.c.order_id == order_id, cancellations.c.status == CancellationStatus.REQUESTED)
        .values(status=status, answer=f"the order is {state}", answered_at=now)
    )
