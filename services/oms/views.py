"""What OMS tells about its orders, without changing anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.oms.states import CancellationStatus, OrderState
from services.oms.tables import cancellations, order_lines, orders, submissions
from services.orders import OrderLine


@dataclass(frozen=True, slots=True)
class Cancellation:
    """A request to cancel an order, and its answer (``None`` while nobody has answered)."""

    status: CancellationStatus
    requested_by: str
    reason: str | None
    answer: str | None
    requested_at: datetime
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as it stands in the database; all times in UTC, ``None`` for what has not happened."""

    order_id: str
    request_id: str
    customer_id: str
    currency: str
    flow: str
    state: OrderState
    version: int
    ordered_at: datetime
    created_at: datetime
    reserved_at: datetime | None
    confirmed_at: datetime | None
    shipped_at: datetime | None
    delivered_at: datetime | None
    closed_at: datetime | None
    shipment_id: str | None
    failure_code: str | None
    closing_reason: str | None
    lines: tuple[OrderLine, ...]
    cancellation: Cancellation | None


async def read_lines(session: AsyncSession, order_ids: Sequence[str]) -> dict[str, tuple[OrderLine, ...]]:
    """The lines of each order, in the order in which they were submitted."""
    found: dict[str, list[OrderLine]] = defaultdict(list)
    rows = await session.execute(
        select(order_lines)
        .where(order_lines.c.order_id.in_(order_ids))
        .order_by(order_lines.c.order_id, order_lines.c.line)
    )
    for row in rows.mappings():
        found[row["order_id"]].append(
            OrderLine(row["sku"], row["quantity"], row["unit_price"], row["discount"])
        )
    return {order_id: tuple(found[order_id]) for order_id in order_ids}


async def read_orders(
    session: AsyncSession, *, order_id: str | None = None, state: str | None = None, limit: int = 100
) -> list[OrderView]:
    """At most ``limit`` orders, newest first, only ``order_id`` or those in ``state`` where given."""
    query = select(orders).order_by(orders.c.created_at.desc(), orders.c.order_id).limit(limit)
    if order_id is not None:
        query = query.where(orders.c.order_id == order_id)
    if state is not None:
        query = query.where(orders.c.state == state)
    rows = (await session.execute(query)).mappings().all()
    order_ids = [row["order_id"] for row in rows]
    lines = await read_lines(session, order_ids)
    asked = await session.execute(select(cancellations).where(cancellations.c.order_id.in_(order_ids)))
    cancelled = {row["order_id"]: _cancellation(row) for row in asked.mappings()}
    return [_view(row, lines[row["order_id"]], cancelled.get(row["order_id"])) for row in rows]


async def read_counts(session: AsyncSession) -> dict[str, int]:
    """How many orders are in each state (every state is named), and how many submissions were REJECTED."""
    counts: dict[str, int] = dict.fromkeys(OrderState, 0)
    for state, number in await session.execute(select(orders.c.state, func.count()).group_by(orders.c.state)):
        counts[str(state)] = number
    rejected = (
        select(func.count()).select_from(submissions).where(func.cardinality(submissions.c.reasons) > 0)
    )
    counts["REJECTED"] = (await session.execute(rejected)).scalar_one()
    return {str(state): number for state, number in counts.items()}


def _cancellation(row: RowMapping) -> Cancellation:
    values: dict[str, Any] = {name: value for name, value in row.items() if name != "order_id"}
    return Cancellation(**{**values, "status": CancellationStatus(row["status"])})


def _view(row: RowMapping, lines: tuple[OrderLine, ...], cancellation: Cancellation | None) -> OrderView:
    values: dict[str, Any] = dict(row)
    values["state"] = OrderState(row["state"])
    return OrderView(**values, lines=lines, cancellation=cancellation)


async def read_rejected(session: AsyncSession, limit: int) -> list[tuple[str, tuple[str, ...]]]:
    """Order id and reasons of at most ``limit`` rejected submissions, newest first."""
    query = (
        select(submissions.c.order_id, submissions.c.reasons)
        .where(submissions.c.version > 0)
        .order_by(submissions.c.recorded_at.desc())
        .limit(limit)
    )
    return [(order_id, tuple(reasons)) for order_id, reasons in await session.execute(query)]
