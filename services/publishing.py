"""How the contexts publish: each event of an order in the transaction that makes it true."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from outbox import Outbox
from schemas.event import Event

DIRECT = "direct"
"""The flow of an order that nobody pays for through tidegate (design §7, "How they compose")."""

PAID = "paid"
"""The flow of an order that waits for its payment."""


def utc_now() -> datetime:
    """This moment in UTC, in microseconds: the value in the row and in the event are the same."""
    return datetime.now(UTC)


class Publisher:
    """Appends the events of one source; ``source`` is the ``ce_source``, as ``/services/oms``."""

    def __init__(self, outbox: Outbox, source: str) -> None:
        self._outbox = outbox
        self._source = source

    async def order_event(
        self,
        session: AsyncSession,
        event: Event,
        *,
        order_id: str,
        version: int,
        flow: str | None,
        waited: bool | None = None,
    ) -> None:
        """Append ``event`` as number ``version`` of ``order_id`` in this source.

        The caller holds the lock of the aggregate that counts ``version``: events of one order then reach
        Kafka in the order of their versions. The event carries the order's flow, and says whether the
        order ``waited`` where that is known (design §4, "Headers"). ``flow`` is None where there is no order
        yet, and may never be: no route of an order's workflows takes such an event.
        """
        extensions = {"flow": flow} if flow is not None else {}
        if waited is not None:
            extensions["waited"] = "true" if waited else "false"
        await self._outbox.append(
            session,
            event,
            source=self._source,
            version=version,
            subject=order_id,
            correlation_id=order_id,
            extensions=extensions,
        )

    async def order_event_once(
        self, session: AsyncSession, event: Event, *, order_id: str, version: int, flow: str, event_id: UUID
    ) -> bool:
        """As :meth:`order_event` under a given ``event_id``; False, and nothing written, for a repeat."""
        return await self._outbox.append_once(
            session,
            event,
            event_id=event_id,
            source=self._source,
            version=version,
            subject=order_id,
            correlation_id=order_id,
            extensions={"flow": flow},
        )

    async def aggregate_event(
        self,
        session: AsyncSession,
        event: Event,
        *,
        subject: str,
        version: int,
        order_id: str | None = None,
        flow: str | None = None,
    ) -> None:
        """Append ``event`` as number ``version`` of ``subject``: a cart, a checkout, a return.

        The caller holds the lock of ``subject``. ``order_id`` is the order that it belongs to (its correlation
        id), ``flow`` the flow of that order, where they are known.
        """
        await self._outbox.append(
            session,
            event,
            source=self._source,
            version=version,
            subject=subject,
            correlation_id=order_id,
            extensions={"flow": flow} if flow else None,
        )

    async def event_about(
        self,
        session: AsyncSession,
        event: Event,
        *,
        subject: str,
        version: int,
        order_id: str,
        flow: str = PAID,
    ) -> None:
        """Append ``event`` as number ``version`` of ``subject``: a checkout, a cart, a return, of ``order_id``.

        As with :meth:`order_event`, the caller holds the lock of what counts ``version``.
        """
        await self._outbox.append(
            session,
            event,
            source=self._source,
            version=version,
            subject=subject,
            correlation_id=order_id,
            extensions={"flow": flow},
        )

    async def item_event(
        self,
        session: AsyncSession,
        event: Event,
        *,
        sku: str,
        version: int,
        extensions: dict[str, str] | None = None,
    ) -> None:
        """Append ``event`` as number ``version`` of the item ``sku`` in this source."""
        await self._outbox.append(
            session, event, source=self._source, version=version, subject=sku, extensions=extensions
        )
