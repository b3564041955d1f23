"""Labels for parcels that come back: one for each return, from the same carrier port as those that go out."""

from __future__ import annotations

from sqlalchemy import RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.ids import derived_id
from services.errors import IllegalTransitionError
from services.label_carrier import LabelCarrier
from services.publishing import utc_now
from services.sms.tables import return_labels

LABELLED = "LABELLED"
CANCELLED = "CANCELLED"


class ReturnLabels:
    """The labels of returns, on the database behind ``sessions``. Publishes nothing: ReturnApproved names the number.

    To the carrier a parcel that comes back is a shipment with an id of its own, derived from the return's.
    """

    def __init__(self, sessions: async_sessionmaker[AsyncSession], carrier: LabelCarrier) -> None:
        self._sessions = sessions
        self._carrier = carrier

    async def generate(self, return_id: str, order_id: str, attempt: int = 1) -> str:
        """The tracking number of the return's parcel; the first label that could be stored stands.

        The carrier is asked outside any transaction. Raises :class:`LabelRefusedError` when it gives none this
        time, :class:`IllegalTransitionError` where the label was cancelled, also while the carrier was asked.
        """
        async with self._sessions() as session:
            row = await _find(session, return_id)
        if row is not None:
            return _number(row, return_id)
        label = await self._carrier.label(str(derived_id("return-shipment", return_id)), attempt)
        async with self._sessions.begin() as session:
            await session.execute(
                upsert(return_labels)
                .values(
                    return_id=return_id,
                    order_id=order_id,
                    state=LABELLED,
                    carrier=label.carrier,
                    tracking_number=label.tracking_number,
                    made_at=utc_now(),
                )
                .on_conflict_do_nothing()
            )
            row = await _find(session, return_id)
        if row is None:
            raise IllegalTransitionError(f"return {return_id}: its label was made and is gone")
        return _number(row, return_id)

    async def cancel(self, return_id: str, order_id: str) -> None:
        """No parcel comes with this label any more. Where there is none, a late one is kept from being made."""
        async with self._sessions.begin() as session:
            now = utc_now()
            made = (
                upsert(return_labels)
                .values(
                    return_id=return_id, order_id=order_id, state=CANCELLED, made_at=now, cancelled_at=now
                )
                .on_conflict_do_nothing()
                .returning(return_labels.c.return_id)
            )
            if (await session.execute(made)).scalar_one_or_none() is None:
                await session.execute(
                    update(return_labels)
                    .where(return_labels.c.return_id == return_id, return_labels.c.state == LABELLED)
                    .values(state=CANCELLED, cancelled_at=now)
                )

    async def state(self, return_id: str) -> str | None:
        """``LABELLED``, ``CANCELLED``, or ``None`` where nobody has asked for a label."""
        async with self._sessions() as session:
            row = await _find(session, return_id)
        return str(row["state"]) if row is not None else None


async def _find(session: AsyncSession, return_id: str) -> RowMapping | None:
    query = select(return_labels).where(return_labels.c.return_id == return_id)
    return (await session.execute(query)).mappings().one_or_none()


def _number(row: RowMapping, return_id: str) -> str:
    if row["state"] == CANCELLED:
        raise IllegalTransitionError(f"the label of return {return_id} is CANCELLED")
    return str(row["tracking_number"])
