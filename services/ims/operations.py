"""What IMS can be asked to do: each operation one transaction, idempotent by order id, guarded by its state.

Locks are taken in one order by everybody: items by sku, then reservations. See :mod:`services.ims.shelf`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.ids import derived_id
from outbox import Outbox
from schemas.event import Event
from schemas.events import (
    AllocationFailed,
    InventoryAllocated,
    InventoryConsumed,
    InventoryReleased,
    InventoryReturned,
)
from services.errors import IllegalTransitionError, UnknownOrderError
from services.goods import StockRow
from services.ims.allocation import Refusal, merged, refusal
from services.ims.bill_of_materials import closure, parts_of
from services.ims.discontinuing import discontinue_item
from services.ims.item import Item
from services.ims.receiving import LoadResult, load_stock, receive_stock
from services.ims.replenishing import order_replenishment, receive_replenishment, remind_supplier
from services.ims.serving import allocated_lines, serve_waiting, skus_with_waiting_orders
from services.ims.shelf import Movement, Moves, Shelf
from services.ims.states import RESERVATION, AllocationStatus, ReservationState, allocation_status
from services.ims.tables import reservation_lines, reservations
from services.ims.views import (
    ReservationView,
    StockView,
    read_bill,
    read_counts,
    read_lines,
    read_reservations,
    read_stock,
)
from services.publishing import DIRECT, Publisher, utc_now


@dataclass(frozen=True, slots=True)
class Allocation:
    """What became of an order's wish for stock. ``reason`` says why it waits or failed."""

    status: AllocationStatus
    reason: str | None = None


class Ims:
    """The operations of the inventory context, on the database behind ``sessions``."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/ims")

    async def allocate(
        self, order_id: str, lines: Sequence[tuple[str, int]], flow: str = DIRECT
    ) -> Allocation:
        """Put aside all pieces for an order, or none of them.

        ALLOCATED publishes InventoryAllocated. WAITING: a piece is missing, or an earlier waiting order needs
        it; the order is served when its turn comes. FAILED, for good: an item is unknown or discontinued;
        publishes AllocationFailed. Asked again, the reservation that is there answers, whatever ``lines``
        say. Raises :class:`InvalidOrderError` for lines that nobody could serve.
        """
        wanted = merged(order_id, lines)
        while True:
            async with self._sessions.begin() as session:
                there = await _find(session, order_id)
                if there is not None:
                    return _answer(there)
                allocation = await self._allocate_new(session, order_id, wanted, flow)
            if allocation is not None:
                return allocation
            # Another transaction made the order's reservation in between: read its answer.

    async def consume(self, order_id: str) -> None:
        """The order's pieces have left the shelf: RESERVED → CONSUMED; publishes InventoryConsumed."""
        await self._advance(
            order_id,
            "consume",
            {ReservationState.RESERVED: Item.consume},
            lambda row, at: InventoryConsumed(
                order_id=order_id, reservation_id=row["reservation_id"], consumed_at=at
            ),
        )

    async def release(self, order_id: str) -> None:
        """The order no longer wants its pieces: RESERVED or WAITING → RELEASED; publishes InventoryReleased.

        What becomes free goes to the orders that wait. An order that never asked for stock is remembered as
        RELEASED, without an event, so that a late request for it takes nothing. Raises
        :class:`IllegalTransitionError` for pieces that were consumed: those are returned.
        """
        await self._advance(
            order_id,
            "release",
            {ReservationState.RESERVED: Item.release, ReservationState.WAITING: Item.give_up},
            lambda row, at: InventoryReleased(
                order_id=order_id, reservation_id=row["reservation_id"], released_at=at
            ),
            frees=True,
        )

    async def return_consumed(self, order_id: str) -> None:
        """The order's pieces came back: CONSUMED → RETURNED; publishes InventoryReturned.

        What becomes free goes to the orders that wait.
        """
        await self._advance(
            order_id,
            "return_consumed",
            {ReservationState.CONSUMED: Item.give_back},
            lambda row, at: InventoryReturned(
                order_id=order_id, reservation_id=row["reservation_id"], returned_at=at
            ),
            frees=True,
        )

    async def receive(self, receipt_id: str, sku: str, quantity: int) -> tuple[str, ...]:
        """``quantity`` pieces of ``sku`` came in; the ids of the waiting orders that this serves, in order.

        Once for each ``receipt_id``. Raises :class:`UnknownItemError`.
        """
        async with self._sessions.begin() as session:
            return await receive_stock(session, self._publisher, receipt_id, sku, quantity)

    async def load(self, load_id: str, rows: Sequence[StockRow]) -> LoadResult:
        """Add the pieces in ``rows`` to stock, set reorder points and components, serve who waits.

        All rows or none, once for each ``load_id``. Items that are new are made. Raises
        :class:`BillOfMaterialsError` for components that are unknown or lead back to their kit,
        :class:`InvalidInputError` for a sku that stands twice or a negative number.
        """
        async with self._sessions.begin() as session:
            return await load_stock(session, self._publisher, load_id, rows)

    async def discontinue(self, sku: str) -> tuple[str, ...]:
        """No further order gets ``sku``; those that wait for pieces of it fail at once, and are returned.

        Each publishes AllocationFailed with ``waited``. Pieces that are on the shelf still go to the orders that
        came first. Asked again, nothing more happens. Raises :class:`UnknownItemError`.
        """
        async with self._sessions.begin() as session:
            return await discontinue_item(session, self._publisher, sku)

    # Replenishment (design §7): OrderReplenishment, RemindSupplier, ReceiveReplenishment.

    async def order_replenishment(self, sku: str, cycle: int) -> int:
        """Order the lot that ends the shortage number ``cycle`` of ``sku``; how many pieces that is.

        The lot covers what waiting orders lack (their kits are expanded already) and fills the shelf to twice
        the reorder point. 0, and nothing ordered, where the shortage has passed or enough is on its way.
        Publishes ReplenishmentOrdered. Asked again, the first answer stands. Raises :class:`UnknownItemError`,
        :class:`IllegalTransitionError` for a cycle that has not begun.
        """
        async with self._sessions.begin() as session:
            return await order_replenishment(session, self._publisher, sku, cycle)

    async def remind_supplier(self, sku: str, cycle: int, number: int) -> None:
        """Tell the supplier the order once more, for the ``number``-th time: ReplenishmentOrdered with
        ``ce_reminder``. Nothing happens where that reminder was sent, or the goods are here. Raises as
        :meth:`receive_replenishment`.
        """
        async with self._sessions.begin() as session:
            await remind_supplier(session, self._publisher, sku, cycle, number)

    async def receive_replenishment(self, sku: str, cycle: int, quantity: int) -> tuple[str, ...]:
        """Book in what came for a replenishment, once; the waiting orders that it serves, first come first.

        Where stock is still short, because little came or more was ordered meanwhile, the next cycle begins:
        StockBelowReorderPoint. Raises :class:`IllegalTransitionError` where nothing was ordered,
        :class:`UnknownItemError`, :class:`~infra.errors.InvalidInputError` for a quantity below 1.
        """
        async with self._sessions.begin() as session:
            return await receive_replenishment(session, self._publisher, sku, cycle, quantity)

    # Reading.

    async def reservation_lines(self, order_id: str) -> tuple[tuple[str, int], ...]:
        """The parts of the order, kits expanded: sku and pieces. Raises :class:`UnknownOrderError`."""
        async with self._sessions() as session:
            parts = (await read_lines(session, [order_id]))[order_id]
        if not parts:
            raise UnknownOrderError(f"IMS holds no parts for order {order_id}")
        return tuple(parts.items())

    async def reservation(self, order_id: str) -> ReservationView | None:
        """The order's reservation, or ``None``."""
        async with self._sessions() as session:
            found = await read_reservations(session, order_id=order_id)
        return found[0] if found else None

    async def reservations(self, state: str | None = None, limit: int = 100) -> list[ReservationView]:
        """At most ``limit`` reservations in the order of the queue, only those in ``state`` where given."""
        async with self._sessions() as session:
            return await read_reservations(session, state=state, limit=limit)

    async def counts(self) -> dict[str, int]:
        """How many reservations are in each state."""
        async with self._sessions() as session:
            return await read_counts(session)

    async def stock(self, sku: str | None = None) -> list[StockView]:
        """The stock of ``sku``, or of every item, by sku."""
        async with self._sessions() as session:
            return await read_stock(session, sku)

    async def _allocate_new(
        self, session: AsyncSession, order_id: str, wanted: dict[str, int], flow: str
    ) -> Allocation | None:
        async def needed() -> frozenset[str]:
            return closure(wanted, await read_bill(session, wanted))

        shelf = await Shelf.lock(session, needed)
        bill = await read_bill(session, wanted)
        parts = parts_of(wanted.items(), bill, shelf.free)
        refused = refusal(wanted, parts, {sku: shelf[sku].discontinued for sku in shelf.skus})
        short = sorted(sku for sku, quantity in parts.items() if sku in shelf and shelf[sku].free < quantity)
        state = (
            ReservationState.FAILED
            if refused
            else ReservationState.WAITING
            if short
            else ReservationState.RESERVED
        )
        if not await _insert(session, order_id, state, flow, refused):
            return None
        if refused is not None:
            await self._publish_failure(session, order_id, flow, refused)
            return Allocation(AllocationStatus.FAILED, refused.reason)
        await session.execute(
            insert(reservation_lines),
            [{"order_id": order_id, "sku": sku, "quantity": quantity} for sku, quantity in parts.items()],
        )
        shelf.move(parts, Item.claim if short else Item.reserve)
        await shelf.save(self._publisher)
        if short:
            return Allocation(AllocationStatus.WAITING, f"waiting for {', '.join(short)}")
        event = InventoryAllocated(
            order_id=order_id,
            reservation_id=_reservation_id(order_id),
            waited=False,
            lines=allocated_lines(parts),
            allocated_at=utc_now(),
        )
        await self._publisher.order_event(
            session, event, order_id=order_id, version=1, flow=flow, waited=False
        )
        return Allocation(AllocationStatus.ALLOCATED)

    async def _publish_failure(
        self, session: AsyncSession, order_id: str, flow: str, refused: Refusal
    ) -> None:
        event = AllocationFailed(
            order_id=order_id,
            code=refused.code,
            reason=refused.reason,
            skus=refused.skus,
            failed_at=utc_now(),
        )
        await self._publisher.order_event(session, event, order_id=order_id, version=1, flow=flow)

    async def _advance(
        self,
        order_id: str,
        operation: str,
        movements: Mapping[ReservationState, Movement],
        event_at: Callable[[RowMapping, datetime], Event],
        *,
        frees: bool = False,
    ) -> None:
        while True:
            async with self._sessions.begin() as session:
                parts = (await read_lines(session, [order_id]))[order_id]

                async def needed(session: AsyncSession = session, parts: Moves = parts) -> frozenset[str]:
                    return await skus_with_waiting_orders(session, parts) if frees else frozenset(parts)

                shelf = await Shelf.lock(session, needed)
                row = await _find(session, order_id, lock=True)
                if row is None:
                    if operation != "release":
                        raise IllegalTransitionError(f"order {order_id} has no reservation to {operation}")
                    if await _insert(session, order_id, ReservationState.RELEASED, DIRECT):
                        return
                    continue
                state = RESERVATION.step(operation, ReservationState(row["state"]), order_id)
                if state is None:
                    return
                if not parts:
                    continue  # the reservation was made after its parts were read: read them again
                shelf.move(parts, movements[ReservationState(row["state"])])
                await self._publish_next(session, row, state, event_at)
                if frees:
                    await serve_waiting(session, shelf, parts, self._publisher)
                await shelf.save(self._publisher)
                return

    async def _publish_next(
        self,
        session: AsyncSession,
        row: RowMapping,
        state: ReservationState,
        event_at: Callable[[RowMapping, datetime], Event],
    ) -> None:
        order_id, version, now = row["order_id"], row["version"] + 1, utc_now()
        await session.execute(
            update(reservations)
            .where(reservations.c.order_id == order_id)
            .values(state=state, version=version, changed_at=now)
        )
        await self._publisher.order_event(
            session, event_at(row, now), order_id=order_id, version=version, flow=row["flow"]
        )


async def _find(session: AsyncSession, order_id: str, *, lock: bool = False) -> RowMapping | None:
    query = select(reservations).where(reservations.c.order_id == order_id)
    found = await session.execute(query.with_for_update() if lock else query)
    return found.mappings().one_or_none()


async def _insert(
    session: AsyncSession, order_id: str, state: ReservationState, flow: str, refused: Refusal | None = None
) -> bool:
    """Make the order's reservation; False where another transaction made it first (having waited for it)."""
    now = utc_now()
    made = (
        upsert(reservations)
        .values(
            order_id=order_id,
            reservation_id=_reservation_id(order_id),
            state=state,
            flow=flow,
            version=1 if state in {ReservationState.RESERVED, ReservationState.FAILED} else 0,
            waited=state is ReservationState.WAITING,
            failure_code=refused.code if refused else None,
            failure_reason=refused.reason if refused else None,
            requested_at=now,
            changed_at=now,
        )
        .on_conflict_do_nothing()
        .returning(reservations.c.order_id)
    )
    return (await session.execute(made)).scalar_one_or_none() is not None


def _answer(row: RowMapping) -> Allocation:
    state = ReservationState(row["state"])
    status = allocation_status(state)
    if status is AllocationStatus.FAILED:
        return Allocation(status, row["failure_reason"] or f"the reservation is {state}")
    return Allocation(status, "waiting for stock" if status is AllocationStatus.WAITING else None)


def _reservation_id(order_id: str) -> str:
    return str(derived_id("reservation", order_id))
