"""What SMS tells about its shipments, without changing anything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.sms.states import ShipmentState
from services.sms.tables import shipments


@dataclass(frozen=True, slots=True)
class ShipmentView:
    """A shipment; ``carrier`` and ``tracking_number`` once it is labelled."""

    order_id: str
    shipment_id: str
    state: ShipmentState
    flow: str
    carrier: str | None
    tracking_number: str | None
    created_at: datetime
    labelled_at: datetime | None
    confirmed_at: datetime | None
    cancelled_at: datetime | None


async def read_shipments(
    session: AsyncSession, *, order_id: str | None = None, state: str | None = None, limit: int = 100
) -> list[ShipmentView]:
    """At most ``limit`` shipments, newest first, of one order or in one state where given."""
    query = select(shipments).order_by(shipments.c.created_at.desc(), shipments.c.order_id).limit(limit)
    if order_id is not None:
        query = query.where(shipments.c.order_id == order_id)
    if state is not None:
        query = query.where(shipments.c.state == state)
    return [
        ShipmentView(
            order_id=row["order_id"],
            shipment_id=row["shipment_id"],
            state=ShipmentState(row["state"]),
            flow=row["flow"],
            carrier=row["carrier"],
            tracking_number=row["tracking_number"],
            created_at=row["created_at"],
            labelled_at=row["labelled_at"],
            confirmed_at=row["confirmed_at"],
            cancelled_at=row["cancelled_at"],
        )
        for row in (await session.execute(query)).mappings()
    ]


async def read_counts(session: AsyncSession) -> dict[str, int]:
    """How many shipments are in each state; every state is named."""
    counts = dict.fromkeys((str(state) for state in ShipmentState), 0)
    grouped = select(shipments.c.state, func.count()).group_by(shipments.c.state)
    for state, number in await session.execute(grouped):
        counts[state] = number
    return counts
