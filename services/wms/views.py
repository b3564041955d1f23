"""What WMS tells about its pick waves, without changing anything."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from services.wms.states import WaveState
from services.wms.tables import picks, waves


@dataclass(frozen=True, slots=True)
class WaveView:
    """A pick wave; ``picks`` are sku and pieces, none where it was cancelled before it was made."""

    order_id: str
    wave_id: str
    state: WaveState
    flow: str
    created_at: datetime
    cancelled_at: datetime | None
    picks: tuple[tuple[str, int], ...]


async def read_waves(
    session: AsyncSession, *, order_id: str | None = None, state: str | None = None, limit: int = 100
) -> list[WaveView]:
    """At most ``limit`` waves, newest first, of one order or in one state where given."""
    query = select(waves).order_by(waves.c.created_at.desc(), waves.c.order_id).limit(limit)
    if order_id is not None:
        query = query.where(waves.c.order_id == order_id)
    if state is not None:
        query = query.where(waves.c.state == state)
    rows = (await session.execute(query)).mappings().all()
    found: dict[str, list[tuple[str, int]]] = defaultdict(list)
    wanted = (
        select(picks).where(picks.c.order_id.in_([row["order_id"] for row in rows])).order_by(picks.c.sku)
    )
    for pick in (await session.execute(wanted)).mappings():
        found[pick["order_id"]].append((pick["sku"], pick["quantity"]))
    return [
        WaveView(
            order_id=row["order_id"],
            wave_id=row["wave_id"],
            state=WaveState(row["state"]),
            flow=row["flow"],
            created_at=row["created_at"],
            cancelled_at=row["cancelled_at"],
            picks=tuple(found[row["order_id"]]),
        )
        for row in rows
    ]


async def read_counts(session: AsyncSession) -> dict[str, int]:
    """How many waves are in each state; every state is named."""
    counts = dict.fromkeys((str(state) for state in WaveState), 0)
    for state, number in await session.execute(select(waves.c.state, func.count()).group_by(waves.c.state)):
        counts[state] = number
    return counts
