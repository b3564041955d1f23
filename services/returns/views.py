"""What is known of returns, and how many pieces of an order they hold, without changing anything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.returns.states import HOLDING, SETTLED, ReturnState
from services.returns.tables import return_lines, returns
from services.returns.values import Pieces, Settlement


@dataclass(frozen=True, slots=True)
class ReturnLineView:
    """One line of a return: pieces announced and, once it is inspected, what became of those that came."""

    sku: str
    quantity: int
    restocked: int | None
    scrapped: int | None
    refused: int | None


@dataclass(frozen=True, slots=True)
class ReturnView:
    """A return as it stands; all times in UTC, ``None`` for what has not happened.

    ``amount`` is owed for what was accepted, ``refunded`` was given back. ``code`` and ``closing_reason`` say why
    it was rejected.
    """

    return_id: str
    order_id: str
    reason_code: str
    state: ReturnState
    version: int
    flow: str | None
    currency: str | None
    tracking_number: str | None
    amount: Decimal | None
    refunded: Decimal | None
    code: str | None
    closing_reason: str | None
    requested_at: datetime
    accepted_at: datetime | None
    approved_at: datetime | None
    inspected_at: datetime | None
    closed_at: datetime | None
    lines: tuple[ReturnLineView, ...]


async def read_announced(session: AsyncSession, return_id: str) -> dict[str, int]:
    """The pieces that are to come back, by sku."""
    rows = await session.execute(
        select(return_lines.c.sku, return_lines.c.quantity)
        .where(return_lines.c.return_id == return_id)
        .order_by(return_lines.c.sku)
    )
    return {sku: quantity for sku, quantity in rows}  # noqa: C416 - rows are not pairs to the type checker


async def pieces_settled(session: AsyncSession, order_id: str) -> Counter[str]:
    """The pieces of the order, by sku, that were accepted from returns that are inspected."""
    return await _sum(
        session,
        return_lines.c.restocked + return_lines.c.scrapped,
        returns.c.order_id == order_id,
        returns.c.state.in_(SETTLED),
    )


async def pieces_elsewhere(session: AsyncSession, order_id: str, return_id: str) -> Counter[str]:
    """The pieces of the order, by sku, that returns other than ``return_id`` hold or have brought back."""
    others = (returns.c.order_id == order_id, returns.c.return_id != return_id)
    held = await _sum(session, return_lines.c.quantity, *others, returns.c.state.in_(HOLDING))
    return held + await pieces_settled(session, order_id)


async def read_settlement(session: AsyncSession, row: RowMapping | Mapping[str, Any]) -> Settlement:
    """What the inspection of the return ``row`` came to."""
    found = await session.execute(
        select(return_lines).where(return_lines.c.return_id == row["return_id"]).order_by(return_lines.c.sku)
    )
    lines = found.mappings().all()
    return Settlement(
        amount=row["amount"],
        accepted=sum(line["restocked"] + line["scrapped"] for line in lines),
        restock=tuple(Pieces(line["sku"], line["restocked"]) for line in lines if line["restocked"]),
    )


async def read_returns(
    session: AsyncSession,
    *,
    return_id: str | None = None,
    order_id: str | None = None,
    state: str | None = None,
    limit: int = 100,
) -> list[ReturnView]:
    """At most ``limit`` returns, newest first, of one id, one order or in one state where given."""
    query = select(returns).order_by(returns.c.requested_at.desc(), returns.c.return_id).limit(limit)
    for column, value in (
        (returns.c.return_id, return_id),
        (returns.c.order_id, order_id),
        (returns.c.state, state),
    ):
        if value is not None:
            query = query.where(column == value)
    rows = (await session.execute(query)).mappings().all()
    lines = await _lines(session, [row["return_id"] for row in rows])
    return [_view(row, lines[row["return_id"]]) for row in rows]


async def _lines(session: AsyncSession, return_ids: Sequence[str]) -> Mapping[str, Sequence[ReturnLineView]]:
    found: dict[str, list[ReturnLineView]] = defaultdict(list)
    rows = await session.execute(
        select(return_lines)
        .where(return_lines.c.return_id.in_(return_ids))
        .order_by(return_lines.c.return_id, return_lines.c.sku)
    )
    for row in rows.mappings():
        values = {name: value for name, value in row.items() if name != "return_id"}
        found[row["return_id"]].append(ReturnLineView(**values))
    return found


def _view(row: RowMapping, lines: Sequence[ReturnLineView]) -> ReturnView:
    values: dict[str, Any] = {**row, "state": ReturnState(row["state"])}
    return ReturnView(**values, lines=tuple(lines))


async def _sum(
    session: AsyncSession, pieces: ColumnElement[int], *where: ColumnElement[bool]
) -> Counter[str]:
    query = (
        select(return_lines.c.sku, func.sum(pieces))
        .join(returns, returns.c.return_id == return_lines.c.return_id)
        .where(*where)
        .group_by(return_lines.c.sku)
    )
    return Counter({sku: int(number) for sku, number in await session.execute(query)})
