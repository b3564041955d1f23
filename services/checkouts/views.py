"""What is told about checkouts, without changing anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.checkouts.states import CheckoutState
from services.checkouts.tables import checkout_lines, checkouts
from services.orders import OrderLine


@dataclass(frozen=True, slots=True)
class CheckoutView:
    """A checkout as it stands in the database; times in UTC, ``None`` for what has not happened or is not known."""

    checkout_id: str
    order_id: str
    holds_order: bool
    request_id: str | None
    customer_id: str | None
    currency: str | None
    amount: Decimal | None
    state: CheckoutState
    version: int
    reasons: tuple[str, ...]
    code: str | None
    closing_reason: str | None
    waited_for: str | None
    requested_at: datetime | None
    recorded_at: datetime
    fraud_check_requested_at: datetime | None
    closed_at: datetime | None
    lines: tuple[OrderLine, ...]


async def read_checkouts(
    session: AsyncSession, *, checkout_id: str | None = None, state: str | None = None, limit: int = 100
) -> list[CheckoutView]:
    """At most ``limit`` checkouts, newest first, only ``checkout_id`` or those in ``state`` where given."""
    query = select(checkouts).order_by(checkouts.c.recorded_at.desc(), checkouts.c.checkout_id).limit(limit)
    if checkout_id is not None:
        query = query.where(checkouts.c.checkout_id == checkout_id)
    if state is not None:
        query = query.where(checkouts.c.state == state)
    rows = (await session.execute(query)).mappings().all()
    lines = await _read_lines(session, [row["checkout_id"] for row in rows])
    found = []
    for row in rows:
        values: dict[str, Any] = dict(row)
        values |= {"state": CheckoutState(row["state"]), "reasons": tuple(row["reasons"])}
        found.append(CheckoutView(**values, lines=lines[row["checkout_id"]]))
    return found


async def read_counts(session: AsyncSession) -> dict[str, int]:
    """How many checkouts are in each state; every state is named."""
    counts = {str(state): 0 for state in CheckoutState}
    query = select(checkouts.c.state, func.count()).group_by(checkouts.c.state)
    return counts | {str(state): number for state, number in await session.execute(query)}


async def _read_lines(session: AsyncSession, ids: Sequence[str]) -> dict[str, tuple[OrderLine, ...]]:
    found: dict[str, list[OrderLine]] = defaultdict(list)
    query = (
        select(checkout_lines)
        .where(checkout_lines.c.checkout_id.in_(ids))
        .order_by(checkout_lines.c.checkout_id, checkout_lines.c.line)
    )
    for row in (await session.execute(query)).mappings():
        line = OrderLine(row["sku"], row["quantity"], row["unit_price"], row["discount"])
        found[row["checkout_id"]].append(line)
    return {checkout_id: tuple(found[checkout_id]) for checkout_id in ids}
