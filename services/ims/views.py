"""What IMS tells about stock and reservations, without changing anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.ims.bill_of_materials import BillOfMaterials
from services.ims.states import ReservationState
from services.ims.tables import components, items, reservation_lines, reservations


@dataclass(frozen=True, slots=True)
class StockView:
    """The stock of one sku, in pieces. ``received = on_hand + reserved + consumed``, always.

    ``awaited`` are the pieces that waiting orders have a claim on; ``cycle`` counts the times that the free
    pieces have fallen below ``reorder_point``; ``on_order`` are the pieces that the supplier owes.
    """

    sku: str
    received: int
    on_hand: int
    reserved: int
    consumed: int
    awaited: int
    reorder_point: int
    cycle: int
    on_order: int
    discontinued: bool
    components: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ReservationView:
    """An order's reservation; ``position`` is its place in the queue, ``lines`` its parts by sku."""

    order_id: str
    reservation_id: str
    position: int
    state: ReservationState
    flow: str
    waited: bool
    failure_code: str | None
    failure_reason: str | None
    requested_at: datetime
    changed_at: datetime
    lines: tuple[tuple[str, int], ...]


async def read_bill(session: AsyncSession, skus: Iterable[str]) -> BillOfMaterials:
    """The components of ``skus``, of their components, and so on."""
    tree = (
        select(components.c.sku, components.c.component, components.c.quantity)
        .where(components.c.sku.in_(list(skus)))
        .cte("tree", recursive=True)
    )
    # UNION, not UNION ALL: rows that were found before end the search, so a cycle would end it too.
    tree = tree.union(
        select(components.c.sku, components.c.component, components.c.quantity).join(
            tree, components.c.sku == tree.c.component
        )
    )
    bill: dict[str, list[tuple[str, int]]] = defaultdict(list)
    for sku, component, quantity in await session.execute(
        select(tree).order_by(tree.c.sku, tree.c.component)
    ):
        bill[sku].append((component, quantity))
    return {sku: tuple(needed) for sku, needed in bill.items()}


async def read_stock(session: AsyncSession, sku: str | None = None) -> list[StockView]:
    """The stock of ``sku``, or of every item, by sku."""
    query = select(items).order_by(items.c.sku)
    if sku is not None:
        query = query.where(items.c.sku == sku)
    rows = (await session.execute(query)).mappings().all()
    bill = await read_bill(session, [row["sku"] for row in rows])
    return [
        StockView(
            sku=row["sku"],
            received=row["received"],
            on_hand=row["on_hand"],
            reserved=row["reserved"],
            consumed=row["consumed"],
            awaited=row["awaited"],
            reorder_point=row["reorder_point"],
            cycle=row["cycle"],
            on_order=row["on_order"],
            discontinued=row["discontinued"],
            components=bill.get(row["sku"], ()),
        )
        for row in rows
    ]


async def read_lines(session: AsyncSession, order_ids: Sequence[str]) -> dict[str, dict[str, int]]:
    """The parts of each order: pieces by sku."""
    lines: dict[str, dict[str, int]] = {order_id: {} for order_id in order_ids}
    rows = await session.execute(
        select(reservation_lines)
        .where(reservation_lines.c.order_id.in_(order_ids))
        .order_by(reservation_lines.c.sku)
    )
    for row in rows.mappings():
        lines[row["order_id"]][row["sku"]] = row["quantity"]
    return lines


async def read_reservations(
    session: AsyncSession, *, order_id: str | None = None, state: str | None = None, limit: int = 100
) -> list[ReservationView]:
    """At most ``limit`` reservations in the order of the queue, of one order or in one state where given."""
    query = select(reservations).order_by(reservations.c.position).limit(limit)
    if order_id is not None:
        query = query.where(reservations.c.order_id == order_id)
    if state is not None:
        query = query.where(reservations.c.state == state)
    rows = (await session.execute(query)).mappings().all()
    lines = await read_lines(session, [row["order_id"] for row in rows])
    return [
        ReservationView(
            order_id=row["order_id"],
            reservation_id=row["reservation_id"],
            position=row["position"],
            state=ReservationState(row["state"]),
            flow=row["flow"],
            waited=row["waited"],
            failure_code=row["failure_code"],
            failure_reason=row["failure_reason"],
            requested_at=row["requested_at"],
            changed_at=row["changed_at"],
            lines=tuple(lines[row["order_id"]].items()),
        )
        for row in rows
    ]


async def read_counts(session: AsyncSession) -> dict[str, int]:
    """How many reservations are in each state; every state is named."""
    counts = dict.fromkeys((str(state) for state in ReservationState), 0)
    grouped = select(reservations.c.state, func.count()).group_by(reservations.c.state)
    for state, number in await session.execute(grouped):
        counts[state] = number
    return counts
