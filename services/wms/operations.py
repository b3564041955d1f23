"""What WMS can be asked to do: operations of one transaction, idempotent by order id, guarded by state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.ids import derived_id
from outbox import Outbox
from schemas.events import Pick, PickWaveCancelled, PickWaveCreated
from services.errors import InvalidOrderError
from services.publishing import DIRECT, Publisher, utc_now
from services.wms.states import WAVE, WaveState
from services.wms.tables import picks as pick_rows
from services.wms.tables import waves
from services.wms.views import WaveView, read_counts, read_waves


class Wms:
    """The operations of the warehouse context, on the database behind ``sessions``."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/wms")

    async def create_pick_wave(
        self, order_id: str, picks: Sequence[tuple[str, int]], flow: str = DIRECT
    ) -> str:
        """Give the floor the order's ``picks`` (sku and pieces) and return the wave's id.

        Publishes PickWaveCreated. A wave that is there is returned as it is. Raises
        :class:`IllegalTransitionError` where the order's wave was cancelled, :class:`InvalidOrderError` for
        nothing to pick.
        """
        if not picks:
            raise InvalidOrderError(f"order {order_id} has nothing to pick")
        async with self._sessions.begin() as session:
            now = utc_now()
            if not await _insert(session, order_id, WaveState.CREATED, flow, now):
                wave = await _locked(session, order_id)
                WAVE.step("create_pick_wave", WaveState(wave["state"]), order_id)
                return str(wave["wave_id"])
            await session.execute(
                insert(pick_rows),
                [{"order_id": order_id, "sku": sku, "quantity": quantity} for sku, quantity in picks],
            )
            created = PickWaveCreated(
                order_id=order_id,
                wave_id=_wave_id(order_id),
                picks=tuple(Pick(sku=sku, quantity=quantity) for sku, quantity in picks),
                created_at=now,
            )
            await self._publisher.order_event(session, created, order_id=order_id, version=1, flow=flow)
        return _wave_id(order_id)

    async def cancel_pick_wave(self, order_id: str) -> None:
        """Take the order's wave back: CREATED → CANCELLED; publishes PickWaveCancelled.

        Where there is none, the cancellation is remembered, without an event, so that a late CreatePickWave
        is refused.
        """
        async with self._sessions.begin() as session:
            now = utc_now()
            if await _insert(session, order_id, WaveState.CANCELLED, DIRECT, now):
                return
            wave = await _locked(session, order_id)
            state = WAVE.step("cancel_pick_wave", WaveState(wave["state"]), order_id)
            if state is None:
                return
            version = wave["version"] + 1
            await session.execute(
                update(waves)
                .where(waves.c.order_id == order_id)
                .values(state=state, version=version, cancelled_at=now)
            )
            cancelled = PickWaveCancelled(order_id=order_id, wave_id=wave["wave_id"], cancelled_at=now)
            await self._publisher.order_event(
                session, cancelled, order_id=order_id, version=version, flow=wave["flow"]
            )

    async def wave(self, order_id: str) -> WaveView | None:
        """The order's pick wave, or ``None``."""
        async with self._sessions() as session:
            found = await read_waves(session, order_id=order_id)
        return found[0] if found else None

    async def waves(self, state: str | None = None, limit: int = 100) -> list[WaveView]:
        """At most ``limit`` waves, newest first, only those in ``state`` where one is given."""
        async with self._sessions() as session:
            return await read_waves(session, state=state, limit=limit)

    async def counts(self) -> dict[str, int]:
        """How many waves are in each state."""
        async with self._sessions() as session:
            return await read_counts(session)


async def _insert(session: AsyncSession, order_id: str, state: WaveState, flow: str, now: datetime) -> bool:
    made = (
        upsert(waves)
        .values(
            order_id=order_id,
            wave_id=_wave_id(order_id),
            state=state,
            flow=flow,
            version=1 if state is WaveState.CREATED else 0,
            created_at=now,
            cancelled_at=now if state is WaveState.CANCELLED else None,
        )
        .on_conflict_do_nothing()
        .returning(waves.c.order_id)
    )
    return (await session.execute(made)).scalar_one_or_none() is not None


async def _locked(session: AsyncSession, order_id: str) -> RowMapping:
    row = await session.execute(select(waves).where(waves.c.order_id == order_id).with_for_update())
    return row.mappings().one()


def _wave_id(order_id: str) -> str:
    return str(derived_id("wave", order_id))
