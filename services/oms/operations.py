"""What OMS can be asked to do: each operation one transaction, idempotent by order id, guarded by its state.

The first statement that touches an order locks its row. Whoever holds the lock takes the order's next
version, and only then draws the id of the outbox row, so versions and outbox order agree.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from outbox import Outbox
from schemas.event import Event
from schemas.events import (
    OrderCancelled,
    OrderConfirmed,
    OrderCreated,
    OrderDelivered,
    OrderFailed,
    OrderRejected,
    OrderReserved,
    OrderShipped,
)
from services.errors import IllegalTransitionError, InvalidOrderError, ServiceError, UnknownOrderError
from services.oms.cancelling import answer_request, note_refusal, note_request, refuse_sentences
from services.oms.states import ORDER, CancellationStatus, OrderState
from services.oms.tables import order_lines, orders, submissions
from services.oms.views import Cancellation, OrderView, read_counts, read_lines, read_orders, read_rejected
from services.oms.withdrawal import lock_paid, note_withdrawal, refuse_other_order, refuse_withdrawn
from services.order_rules import reasons_against, storable
from services.orders import OrderLine, OrderSubmission
from services.publishing import DIRECT, PAID, Publisher, utc_now


class Oms:
    """The operations of the order management context, on the database behind ``sessions``."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/oms")

    # Intake (003, "Workflow 1"): ValidateOrder, CreateOrder, EmitOrderEvent.

    async def validate_order(self, submission: OrderSubmission, flow: str = DIRECT) -> tuple[str, ...]:
        """Why ``submission`` is invalid; empty where it is valid.

        The first verdict on an order id is recorded and stands: asked again, it is read back. An invalid
        submission publishes OrderRejected, once.
        """
        async with self._sessions.begin() as session:
            reasons = reasons_against(submission)
            order_id, request_id = storable(submission.order_id), storable(submission.request_id)
            recorded_at = utc_now()
            verdict = (
                upsert(submissions)
                .values(
                    order_id=order_id,
                    request_id=request_id,
                    flow=flow,
                    version=1 if reasons else 0,
                    reasons=list(reasons),
                    recorded_at=recorded_at,
                )
                .on_conflict_do_nothing()
                .returning(submissions.c.order_id)
            )
            if (await session.execute(verdict)).scalar_one_or_none() is None:
                return await _recorded_verdict(session, order_id, request_id)
            if reasons:
                rejected = OrderRejected(
                    order_id=order_id,
                    request_id=request_id,
                    reasons=reasons,
                    rejected_at=recorded_at,
                )
                await self._publisher.order_event(session, rejected, order_id=order_id, version=1, flow=flow)
            return reasons

    async def create_order(self, submission: OrderSubmission, flow: str = DIRECT) -> str:
        """Make the order, in state CREATED, and return its id; where it exists, change nothing.

        Publishes nothing: OrderCreated is a step of its own (003, "Emit Order Created Event"). Raises
        :class:`InvalidOrderError` for a submission that is invalid or whose request id another order has,
        :class:`IllegalTransitionError` for one that was rejected or withdrawn before, or whose order is there in
        the other flow: a paid order is not fulfilled as a direct one because its request came again on the other
        way.
        """
        if reasons := reasons_against(submission):
            raise InvalidOrderError(f"order {submission.order_id} is invalid: {'; '.join(reasons)}")
        async with self._sessions.begin() as session:
            rejected = select(submissions.c.reasons).where(submissions.c.order_id == submission.order_id)
            if recorded := (await session.execute(rejected)).scalar_one_or_none():
                raise IllegalTransitionError(
                    f"order {submission.order_id} was rejected before: {'; '.join(recorded)}"
                )
            if flow == PAID:
                await refuse_withdrawn(session, submission.order_id)
            order = (
                upsert(orders)
                .values(
                    order_id=submission.order_id,
                    request_id=submission.request_id,
                    customer_id=submission.customer_id,
                    currency=submission.currency,
                    ordered_at=submission.ordered_at,
                    flow=flow,
                    state=OrderState.CREATED,
                    version=0,
                    created_at=utc_now(),
                )
                .on_conflict_do_nothing()  # on either key: attempts at the same moment may meet at the second one
                .returning(orders.c.order_id)
            )
            if (await session.execute(order)).scalar_one_or_none() is not None:
                await session.execute(insert(order_lines), _line_rows(submission))
            else:
                await refuse_other_order(session, submission.order_id, submission.request_id, flow)
        return submission.order_id

    async def withdraw_order(self, order_id: str, reason: str) -> None:
        """Give up a paid order whose checkout came to nothing; publishes OrderCancelled where there is one.

        Where there is none, one that is still under way is never made. An order of the other flow is not a
        checkout's to give up and stays as it is. Raises :class:`IllegalTransitionError` for an order that
        has shipped or failed.
        """
        async with self._sessions.begin() as session:
            await lock_paid(session, order_id)
            query = select(orders).where(orders.c.order_id == order_id).with_for_update()
            order = (await session.execute(query)).mappings().one_or_none()
            if order is not None and order["flow"] == PAID:
                await self._advance_locked(
                    session,
                    order,
                    "mark_order_cancelled",
                    "closed_at",
                    lambda at: OrderCancelled(order_id=order_id, reason=reason, cancelled_at=at),
                    closing_reason=reason,
                )
                return
            await note_withdrawal(session, order_id)

    async def emit_order_event(self, order_id: str, event_type: str, event_id: UUID) -> bool:
        """Publish the fact ``event_type`` about an order, once for each ``event_id``; False for a repeat.

        ``event_type`` is the event's name, ``OrderCreated``: the one fact of an order that no operation
        publishes by itself (design §4, "Who publishes what").
        """
        async with self._sessions.begin() as session:
            order = await _locked(session, order_id)
            version = order["version"] + 1
            written = await self._publisher.order_event_once(
                session,
                _emitted(event_type, order),
                order_id=order_id,
                version=version,
                flow=order["flow"],
                event_id=event_id,
            )
            if written:
                await session.execute(
                    update(orders).where(orders.c.order_id == order_id).values(version=version)
                )
            return written

    # Fulfillment (003, "Workflow 2") and its compensation.

    async def mark_order_reserved(self, order_id: str) -> None:
        """The order's stock is reserved: CREATED → RESERVED; publishes OrderReserved."""
        await self._advance(
            order_id,
            "mark_order_reserved",
            "reserved_at",
            lambda at: OrderReserved(order_id=order_id, reserved_at=at),
        )

    async def mark_order_confirmed(self, order_id: str) -> None:
        """The order is paid for: RESERVED → CONFIRMED; publishes OrderConfirmed."""
        await self._advance(order_id, *_confirmation(order_id))

    async def mark_order_shipped(self, order_id: str, shipment_id: str) -> None:
        """The order has left in ``shipment_id``: RESERVED or CONFIRMED → SHIPPED; publishes OrderShipped.

        A paid order that leaves was paid for: where its confirmation is not on record yet (its own workflow is
        behind that of its fulfillment) it is recorded and published first, so that every paid order goes
        created → confirmed → shipped (001, "Order processing").
        """
        async with self._sessions.begin() as session:
            order = await _locked(session, order_id)
            if order["flow"] == PAID and order["state"] == OrderState.RESERVED:
                await self._advance_locked(session, order, *_confirmation(order_id))
                order = await _locked(session, order_id)
            await self._advance_locked(
                session,
                order,
                "mark_order_shipped",
                "shipped_at",
                lambda at: OrderShipped(order_id=order_id, shipment_id=shipment_id, shipped_at=at),
                shipment_id=shipment_id,
            )

    async def mark_order_delivered(self, order_id: str, shipment_id: str | None = None) -> None:
        """The order has arrived: SHIPPED → DELIVERED; publishes OrderDelivered."""
        await self._advance(
            order_id,
            "mark_order_delivered",
            "delivered_at",
            lambda at: OrderDelivered(order_id=order_id, shipment_id=shipment_id, delivered_at=at),
        )

    async def mark_order_failed(self, order_id: str, code: str, reason: str) -> None:
        """The order cannot be fulfilled: an open order → FAILED; publishes OrderFailed.

        ``code`` is for programs (``STOCK_TIMEOUT``), ``reason`` for people. Source: 003, "Cancellation &
        Compensation".
        """
        await self._advance(
            order_id,
            "mark_order_failed",
            "closed_at",
            lambda at: OrderFailed(order_id=order_id, code=code, reason=reason, failed_at=at),
            failure_code=code,
            closing_reason=reason,
        )

    async def mark_order_cancelled(self, order_id: str, reason: str | None = None) -> None:
        """The order is given up because somebody asked: an open order → CANCELLED; publishes OrderCancelled.

        A request to cancel that was waiting for its answer has it now, as with every other end.
        """
        await self._advance(
            order_id,
            "mark_order_cancelled",
            "closed_at",
            lambda at: OrderCancelled(order_id=order_id, reason=reason, cancelled_at=at),
            closing_reason=reason,
        )

    async def request_cancellation(
        self, order_id: str, requested_by: str, reason: str | None = None
    ) -> CancellationStatus:
        """Ask for an order to be cancelled, and say where the request stands.

        The first request on an open order publishes OrderCancelRequested; asked again, the standing answer
        is given and nothing is published. Refused at once for an order that has shipped or failed.
        ``requested_by`` names a role or a system, never a person; ``reason`` is a code, one word, since a sentence
        may hold anything (000, "Security"). Raises :class:`InvalidInputError` for others, showing neither, and
        :class:`UnknownOrderError`.
        """
        refuse_sentences(requested_by=requested_by, reason=reason)
        async with self._sessions.begin() as session:
            order = await _locked(session, order_id)
            status, requested = await note_request(session, order, requested_by, reason)
            if requested is not None:
                await self._publish_next(session, order, requested)
            return status

    async def refuse_cancellation(self, order_id: str, reason: str) -> None:
        """Record that a cancellation came too late (after ConfirmShipment). Publishes nothing.

        Where no request is on record (the signal came from elsewhere) the refusal is recorded by itself; an
        answer that was given before stands. Raises :class:`UnknownOrderError`.
        """
        async with self._sessions.begin() as session:
            await _locked(session, order_id)
            await note_refusal(session, order_id, reason)

    # Reading.

    async def order_lines(self, order_id: str) -> tuple[OrderLine, ...]:
        """The order's lines as submitted. Raises :class:`UnknownOrderError`."""
        async with self._sessions() as session:
            lines = (await read_lines(session, [order_id]))[order_id]
        if not lines:
            raise UnknownOrderError(f"OMS holds no order {order_id}")
        return lines

    async def order(self, order_id: str) -> OrderView | None:
        """The order as it stands, or ``None``."""
        async with self._sessions() as session:
            found = await read_orders(session, order_id=order_id)
        return found[0] if found else None

    async def orders(self, limit: int = 100, state: str | None = None) -> list[OrderView]:
        """At most ``limit`` orders, newest first, only those in ``state`` where one is given."""
        async with self._sessions() as session:
            return await read_orders(session, state=state, limit=limit)

    async def counts(self) -> dict[str, int]:
        """How many orders are in each state, with ``REJECTED`` for submissions that never became one."""
        async with self._sessions() as session:
            return await read_counts(session)

    async def cancellation(self, order_id: str) -> Cancellation | None:
        """The request to cancel an order, or ``None``."""
        order = await self.order(order_id)
        return order.cancellation if order else None

    async def rejected(self, limit: int = 100) -> list[tuple[str, tuple[str, ...]]]:
        """Order id and reasons of at most ``limit`` rejected submissions, newest first."""
        async with self._sessions() as session:
            return await read_rejected(session, limit)

    async def _advance(
        self,
        order_id: str,
        operation: str,
        stamp: str,
        event_at: Callable[[datetime], Event],
        **changes: Any,
    ) -> None:
        async with self._sessions.begin() as session:
            order = await _locked(session, order_id)
            await self._advance_locked(session, order, operation, stamp, event_at, **changes)

    async def _advance_locked(
        self,
        session: AsyncSession,
        order: RowMapping,
        operation: str,
        stamp: str,
        event_at: Callable[[datetime], Event],
        **changes: Any,
    ) -> None:
        order_id = order["order_id"]
        state = ORDER.step(operation, OrderState(order["state"]), order_id)
        if state is None:
            return
        now = utc_now()
        await answer_request(session, order_id, state, now)
        changes |= {"state": state, stamp: now}
        await self._publish_next(session, order, event_at(now), **changes)

    async def _publish_next(
        self, session: AsyncSession, order: RowMapping, event: Event, **changes: Any
    ) -> None:
        version = order["version"] + 1
        order_id = order["order_id"]
        await session.execute(
            update(orders).where(orders.c.order_id == order_id).values(version=version, **changes)
        )
        await self._publisher.order_event(
            session, event, order_id=order_id, version=version, flow=order["flow"]
        )


def _confirmation(order_id: str) -> tuple[str, str, Callable[[datetime], Event]]:
    return (
        "mark_order_confirmed",
        "confirmed_at",
        lambda at: OrderConfirmed(order_id=order_id, confirmed_at=at),
    )


async def _locked(session: AsyncSession, order_id: str) -> RowMapping:
    row = await session.execute(select(orders).where(orders.c.order_id == order_id).with_for_update())
    order = row.mappings().one_or_none()
    if order is None:
        raise UnknownOrderError(f"OMS holds no order {order_id}")
    return order


async def _recorded_verdict(session: AsyncSession, order_id: str, request_id: str) -> tuple[str, ...]:
    recorded = select(submissions.c.reasons).where(submissions.c.order_id == order_id)
    reasons = (await session.execute(recorded)).scalar_one_or_none()
    if reasons is None:
        return (f"request_id {request_id} is taken by another order",)
    return tuple(reasons)


def _line_rows(submission: OrderSubmission) -> list[dict[str, Any]]:
    return [
        {
            "order_id": submission.order_id,
            "line": number,
            "sku": line.sku,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "discount": line.discount,
            "net": line.net,
        }
        for number, line in enumerate(submission.lines)
    ]


def _emitted(event_type: str, order: RowMapping) -> Event:
    if event_type != "OrderCreated":
        raise ServiceError(f"OMS has no fact {event_type} to emit about an order; it has OrderCreated")
    return OrderCreated(
        order_id=order["order_id"], request_id=order["request_id"], created_at=order["created_at"]
    )
