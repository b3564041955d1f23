"""Waiting orders: which items they need, and serving them when pieces become free."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schemas.events import AllocatedLine, InventoryAllocated
from services.ims.item import Item
from services.ims.queue import WaitingOrder, servable
from services.ims.shelf import Moves, Shelf
from services.ims.states import RESERVATION, ReservationState
from services.ims.tables import reservation_lines, reservations
from services.ims.views import read_lines
from services.publishing import Publisher, utc_now


async def skus_with_waiting_orders(session: AsyncSession, skus: Iterable[str]) -> frozenset[str]:
    """``skus``, and every sku that a waiting order needs beside one of them: all that serving may touch.

    One step is enough. Serving an order takes only what it had a claim on, so it frees nothing for an order
    that needs none of ``skus``.
    """
    skus = frozenset(skus)
    waiting = (
        select(reservation_lines.c.order_id)
        .join(reservations, reservations.c.order_id == reservation_lines.c.order_id)
        .where(reservations.c.state == ReservationState.WAITING, reservation_lines.c.sku.in_(skus))
    )
    beside = select(reservation_lines.c.sku).where(reservation_lines.c.order_id.in_(waiting)).distinct()
    return skus | frozenset((await session.execute(beside)).scalars())


async def serve_waiting(
    session: AsyncSession, shelf: Shelf, freed: Iterable[str], publisher: Publisher
) -> list[str]:
    """Reserve for every waiting order that can be served now that pieces of ``freed`` are; their ids.

    ``shelf`` holds :func:`skus_with_waiting_orders` of ``freed``. Publishes one InventoryAllocated each, in
    the order of the queue.
    """
    if not any(shelf[sku].awaited for sku in freed):
        return []
    queue = (
        select(
            reservations.c.order_id,
            reservations.c.reservation_id,
            reservations.c.flow,
            reservations.c.version,
        )
        .where(
            reservations.c.state == ReservationState.WAITING,
            reservations.c.order_id.in_(
                select(reservation_lines.c.order_id).where(reservation_lines.c.sku.in_(shelf.skus))
            ),
        )
        .order_by(reservations.c.position)
    )
    waiting = {row["order_id"]: row for row in (await session.execute(queue)).mappings()}
    lines = await read_lines(session, list(waiting))
    served = servable((WaitingOrder(order_id, lines[order_id]) for order_id in waiting), shelf.on_hand)
    for order_id in served:
        row, parts = waiting[order_id], lines[order_id]
        shelf.move(parts, Item.give_up)
        shelf.move(parts, Item.reserve)
        version = row["version"] + 1
        now = utc_now()
        await session.execute(
            update(reservations)
            .where(reservations.c.order_id == order_id)
            .values(
                state=RESERVATION.step("serve", ReservationState.WAITING, order_id),
                version=version,
                changed_at=now,
            )
        )
        event = InventoryAllocated(
            order_id=order_id,
            reservation_id=row["reservation_id"],
            waited=True,
            lines=allocated_lines(parts),
            allocated_at=now,
        )
        await publisher.order_event(
            session, event, order_id=order_id, version=version, flow=row["flow"], waited=True
        )
    return served


def allocated_lines(parts: Moves) -> tuple[AllocatedLine, ...]:
    """``parts`` as an event tells them, by sku."""
    return tuple(AllocatedLine(sku=sku, quantity=parts[sku]) for sku in sorted(parts))
