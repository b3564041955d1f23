"""The local adapter of the port :class:`services.notifier.Notifier`: what would be said is written down, once."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from services.notifier import Notification
from services.oms.tables import notifications
from services.publishing import utc_now


class RecordedNotifications:
    """Keeps every notification as a row of ``oms.notifications``, one for each order and kind."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    async def notify(self, notification: Notification) -> None:
        """Write it down; a repeat changes nothing."""
        async with self._sessions.begin() as session:
            await session.execute(
                upsert(notifications)
                .values(
                    order_id=notification.order_id,
                    kind=notification.kind,
                    key=notification.key,
                    customer_id=notification.customer_id,
                    sent_at=utc_now(),
                )
                .on_conflict_do_nothing()
            )

    async def of(self, order_id: str) -> tuple[str, ...]:
        """The kinds of notification that were sent about an order, oldest first."""
        query = (
            select(notifications.c.kind)
            .where(notifications.c.order_id == order_id)
            .order_by(notifications.c.sent_at)
        )
        async with self._sessions() as session:
            return tuple((await session.execute(query)).scalars())
