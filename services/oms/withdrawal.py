"""What keeps a paid order from being made twice, in two flows, or after its checkout came to nothing.

An attempt to make the order may outlive the decision to give it up: it timed out for its caller and still
commits. So giving up leaves a note where there is no order yet, under a lock that making one takes too.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from services.errors import IllegalTransitionError, InvalidOrderError
from services.oms.tables import orders, withdrawals
from services.publishing import utc_now


async def lock_paid(session: AsyncSession, order_id: str) -> None:
    """Let one transaction at a time make or withdraw a paid order: before there is one, no row can be locked."""
    key = func.hashtextextended(f"oms.paid_order/{order_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def refuse_withdrawn(session: AsyncSession, order_id: str) -> None:
    """Raise :class:`IllegalTransitionError` where the paid order was given up; holds its lock otherwise."""
    await lock_paid(session, order_id)
    withdrawn = select(withdrawals.c.order_id).where(withdrawals.c.order_id == order_id)
    if (await session.execute(withdrawn)).scalar_one_or_none() is not None:
        raise IllegalTransitionError(f"order {order_id} was withdrawn: its checkout came to nothing")


async def note_withdrawal(session: AsyncSession, order_id: str) -> None:
    """Keep the order, which is not there, from being made as a paid one. The caller holds :func:`lock_paid`."""
    withdrawn = upsert(withdrawals).values(order_id=order_id, withdrawn_at=utc_now())
    await session.execute(withdrawn.on_conflict_do_nothing())


async def refuse_other_order(session: AsyncSession, order_id: str, request_id: str, flow: str) -> None:
    """The order could not be made: pass where it is there, in ``flow``.

    Raises :class:`IllegalTransitionError` where it is there in another flow, :class:`InvalidOrderError` where it is
    not there, and what stood in its way is another order of the same request.
    """
    standing = select(orders.c.flow).where(orders.c.order_id == order_id)
    found = (await session.execute(standing)).scalar_one_or_none()
    if found is None:
        raise InvalidOrderError(
            f"order {order_id} cannot be made: request_id {request_id} is taken by another order"
        )
    if found != flow:
        raise IllegalTransitionError(f"order {order_id} is there as a {found} order, and is no {flow} one")
