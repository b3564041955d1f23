"""An item that is no longer kept, and the orders that wait for it in vain.

Source: design §7, "Shortage": an item that is discontinued fails an order for good; only a shortage waits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import RowMapping, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schemas.events import AllocationFailed
from services.errors import UnknownItemError
from services.ims.item import Item
from services.ims.serving import serve_waiting, skus_with_waiting_orders
from services.ims.shelf import Shelf
from services.ims.states import RESERVATION, ReservationState
from services.ims.tables import reservation_lines, reservations
from services.ims.views import read_lines
from services.publishing import Publisher, utc_now


async def discontinue_item(session: AsyncSession, publisher: Publisher, sku: str) -> tuple[str, ...]:
    """See :meth:`services.ims.Ims.discontinue`."""
    shelf = await Shelf.lock(session, lambda: _all_that_may_move(session, sku))
    if sku not in shelf:
        raise UnknownItemError(f"IMS holds no item {sku}")
    shelf.change(sku, Item.discontinue)
    waiting = {row["order_id"]: row for row in await _waiting_for(session, sku)}
    lines = await read_lines(session, list(waiting))
    failed = in_vain(
        list(waiting), {order_id: lines[order_id][sku] for order_id in waiting}, shelf[sku].on_hand
    )
    for order_id in failed:
        await _fail(session, publisher, waiting[order_id], sku)
        shelf.move(lines[order_id], Item.give_up)
    freed = sorted({part for order_id in failed for part in lines[order_id]})
    if freed:
        await serve_waiting(session, shelf, freed, publisher)
    await shelf.save(publisher)
    return tuple(failed)


def in_vain(queue: Sequence[str], needs: Mapping[str, int], on_hand: int) -> list[str]:
    """The orders of ``queue``, earliest first, that the pieces ``on_hand`` will never reach.

    What is there still goes to those who came first; an order whose pieces are among them waits on for others.
    """
    left, failed = on_hand, []
    for order_id in queue:
        if needs[order_id] <= left:
            left -= needs[order_id]
        else:
            failed.append(order_id)
    return failed


async def _all_that_may_move(session: AsyncSession, sku: str) -> frozenset[str]:
    """What the orders that wait for ``sku`` have claims on, and what those need who are served in their place."""
    return await skus_with_waiting_orders(session, await skus_with_waiting_orders(session, [sku]))


async def _waiting_for(session: AsyncSession, sku: str) -> Sequence[RowMapping]:
    query = (
        select(reservations)
        .join(reservation_lines, reservation_lines.c.order_id == reservations.c.order_id)
        .where(reservations.c.state == ReservationState.WAITING, reservation_lines.c.sku == sku)
        .order_by(reservations.c.position)
    )
    return (await session.execute(query)).mappings().all()


async def _fail(session: AsyncSession, publisher: Publisher, row: RowMapping, sku: str) -> None:
    order_id, version, now = row["order_id"], row["version"] + 1, utc_now()
    failure: dict[str, Any] = {"failure_code": "DISCONTINUED", "failure_reason": f"no longer kept: {sku}"}
    await session.execute(
        update(reservations)
        .where(reservations.c.order_id == order_id)
        .values(
            state=RESERVATION.step("fail", ReservationState.WAITING, order_id),
            version=version,
            changed_at=now,
            **failure,
        )
    )
    event = AllocationFailed(
        order_id=order_id,
        code=failure["failure_code"],
        reason=failure["failure_reason"],
        skus=(sku,),
        failed_at=now,
    )
    await publisher.order_event(
        session, event, order_id=order_id, version=version, flow=row["flow"], waited=True
    )
