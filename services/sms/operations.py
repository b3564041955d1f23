"""What SMS can be asked to do: each operation idempotent by order id and guarded by its state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.ids import derived_id
from outbox import Outbox
from schemas.event import Event
from schemas.events import LabelGenerated, ShipmentCancelled, ShipmentConfirmed, ShipmentCreated
from services.errors import UnknownOrderError
from services.label_carrier import LabelCarrier
from services.publishing import DIRECT, Publisher, utc_now
from services.sms.states import SHIPMENT, ShipmentState
from services.sms.tables import shipments
from services.sms.views import ShipmentView, read_counts, read_shipments


class Sms:
    """The operations of the shipping context, on the database behind ``sessions``; labels by ``carrier``."""

    def __init__(
        self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox, carrier: LabelCarrier
    ) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/sms")
        self._carrier = carrier

    async def create_shipment(self, order_id: str, flow: str = DIRECT) -> str:
        """Make the order's shipment and return its id; publishes ShipmentCreated.

        A shipment that is there is returned as it is. Raises :class:`IllegalTransitionError` where it was
        cancelled.
        """
        async with self._sessions.begin() as session:
            now = utc_now()
            if not await _insert(session, order_id, ShipmentState.CREATED, flow, now):
                shipment = await _locked(session, order_id)
                SHIPMENT.step("create_shipment", ShipmentState(shipment["state"]), order_id)
                return str(shipment["shipment_id"])
            created = ShipmentCreated(order_id=order_id, shipment_id=_shipment_id(order_id), created_at=now)
            await self._publisher.order_event(session, created, order_id=order_id, version=1, flow=flow)
        return _shipment_id(order_id)

    async def generate_label(self, order_id: str, attempt: int = 1) -> str:
        """Get the shipment its label and return the tracking number: CREATED → LABELLED; LabelGenerated.

        The carrier is asked outside any transaction. Raises :class:`LabelRefusedError` when it gives none
        this time, :class:`IllegalTransitionError` for a cancelled shipment (also one that was cancelled
        while the carrier was asked: the label is then not kept).
        """
        async with self._sessions() as session:
            shipment = await _read(session, order_id)
        if SHIPMENT.step("generate_label", ShipmentState(shipment["state"]), order_id) is None:
            return str(shipment["tracking_number"])
        label = await self._carrier.label(shipment["shipment_id"], attempt)
        await self._advance(
            order_id,
            "generate_label",
            "labelled_at",
            lambda shipment_id, at: LabelGenerated(
                order_id=order_id,
                shipment_id=shipment_id,
                carrier=label.carrier,
                tracking_number=label.tracking_number,
                generated_at=at,
            ),
            carrier=label.carrier,
            tracking_number=label.tracking_number,
        )
        async with self._sessions() as session:
            return str((await _read(session, order_id))["tracking_number"])

    async def confirm_shipment(self, order_id: str) -> None:
        """The parcel is handed over: LABELLED → CONFIRMED; publishes ShipmentConfirmed."""
        await self._advance(
            order_id,
            "confirm_shipment",
            "confirmed_at",
            lambda shipment_id, at: ShipmentConfirmed(
                order_id=order_id, shipment_id=shipment_id, confirmed_at=at
            ),
        )

    async def cancel_shipment(self, order_id: str) -> None:
        """Call the shipment off: CREATED or LABELLED → CANCELLED; publishes ShipmentCancelled.

        Where there is none, the cancellation is remembered, without an event, so that a late CreateShipment
        is refused. Raises :class:`IllegalTransitionError` once the shipment is confirmed.
        """
        async with self._sessions.begin() as session:
            if await _insert(session, order_id, ShipmentState.CANCELLED, DIRECT, utc_now()):
                return
        await self._advance(
            order_id,
            "cancel_shipment",
            "cancelled_at",
            lambda shipment_id, at: ShipmentCancelled(
                order_id=order_id, shipment_id=shipment_id, cancelled_at=at
            ),
        )

    async def shipment(self, order_id: str) -> ShipmentView | None:
        """The order's shipment, or ``None``."""
        async with self._sessions() as session:
            found = await read_shipments(session, order_id=order_id)
        return found[0] if found else None

    async def shipments(self, state: str | None = None, limit: int = 100) -> list[ShipmentView]:
        """At most ``limit`` shipments, newest first, only those in ``state`` where one is given."""
        async with self._sessions() as session:
            return await read_shipments(session, state=state, limit=limit)

    async def counts(self) -> dict[str, int]:
        """How many shipments are in each state."""
        async with self._sessions() as session:
            return await read_counts(session)

    async def _advance(
        self,
        order_id: str,
        operation: str,
        stamp: str,
        event_at: Callable[[str, datetime], Event],
        **changes: Any,
    ) -> None:
        async with self._sessions.begin() as session:
            shipment = await _locked(session, order_id)
            state = SHIPMENT.step(operation, ShipmentState(shipment["state"]), order_id)
            if state is None:
                return
            now, version = utc_now(), shipment["version"] + 1
            await session.execute(
                update(shipments)
                .where(shipments.c.order_id == order_id)
                .values(state=state, version=version, **{**changes, stamp: now})
            )
            await self._publisher.order_event(
                session,
                event_at(shipment["shipment_id"], now),
                order_id=order_id,
                version=version,
                flow=shipment["flow"],
            )


async def _insert(
    session: AsyncSession, order_id: str, state: ShipmentState, flow: str, now: datetime
) -> bool:
    made = (
        upsert(shipments)
        .values(
            order_id=order_id,
            shipment_id=_shipment_id(order_id),
            state=state,
            flow=flow,
            version=1 if state is ShipmentState.CREATED else 0,
            created_at=now,
            cancelled_at=now if state is ShipmentState.CANCELLED else None,
        )
        .on_conflict_do_nothing()
        .returning(shipments.c.order_id)
    )
    return (await session.execute(made)).scalar_one_or_none() is not None


async def _read(session: AsyncSession, order_id: str, *, lock: bool = False) -> RowMapping:
    query = select(shipments).where(shipments.c.order_id == order_id)
    row = (await session.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
    if row is None:
        raise UnknownOrderError(f"SMS holds no shipment of order {order_id}")
    return row


async def _locked(session: AsyncSession, order_id: str) -> RowMapping:
    return await _read(session, order_id, lock=True)


def _shipment_id(order_id: str) -> str:
    return str(derived_id("shipment", order_id))
