"""New stock for one shortage: order the lot, remind the supplier, book in what came.

A replenishment is named by sku and cycle. Each operation is one transaction that holds the item's lock, and is
idempotent by that name. Source: design §7, ReplenishmentWorkflow; 003, "Workflow Inventory".
"""

from __future__ import annotations

from sqlalchemy import RowMapping, Update, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from infra.errors import InvalidInputError
from infra.ids import derived_id
from schemas.events import ReplenishmentOrdered
from services.errors import IllegalTransitionError, UnknownItemError
from services.ims.item import LARGEST_QUANTITY, Item
from services.ims.serving import serve_waiting, skus_with_waiting_orders
from services.ims.shelf import Shelf
from services.ims.states import ReplenishmentState
from services.ims.tables import receipts, replenishments
from services.publishing import Publisher, utc_now


async def order_replenishment(session: AsyncSession, publisher: Publisher, sku: str, cycle: int) -> int:
    """See :meth:`services.ims.Ims.order_replenishment`."""
    shelf = await _locked(session, sku, alone=True)
    there = await _find(session, sku, cycle)
    if there is not None:
        return int(there["ordered"])
    item = shelf[sku]
    if cycle > item.cycle:
        raise IllegalTransitionError(f"{sku} is in cycle {item.cycle}: nothing is short in cycle {cycle}")
    # An earlier cycle has passed: what is short now is the business of the one that is current.
    quantity = item.lot() if cycle == item.cycle else 0
    now = utc_now()
    await session.execute(
        insert(replenishments).values(
            sku=sku,
            cycle=cycle,
            state=ReplenishmentState.ORDERED if quantity else ReplenishmentState.NOT_NEEDED,
            ordered=quantity,
            received=0,
            reminders=0,
            decided_at=now,
        )
    )
    if quantity:
        version = shelf.change(sku, lambda item: item.expect(quantity).counted()).version
        event = ReplenishmentOrdered(sku=sku, cycle=cycle, quantity=quantity, ordered_at=now)
        await publisher.item_event(session, event, sku=sku, version=version)
    else:
        shelf.change(sku, lambda item: item.settle(cycle))
    await shelf.save(publisher)
    return quantity


async def remind_supplier(
    session: AsyncSession, publisher: Publisher, sku: str, cycle: int, number: int
) -> None:
    """See :meth:`services.ims.Ims.remind_supplier`."""
    shelf = await _locked(session, sku, alone=True)
    row = await _ordered(session, sku, cycle)
    if row["state"] != ReplenishmentState.ORDERED or row["reminders"] >= number:
        return
    await session.execute(_of(sku, cycle).values(reminders=number))
    version = shelf.change(sku, Item.counted).version
    event = ReplenishmentOrdered(sku=sku, cycle=cycle, quantity=row["ordered"], ordered_at=row["decided_at"])
    await publisher.item_event(session, event, sku=sku, version=version, extensions={"reminder": str(number)})
    await shelf.save(publisher)


async def receive_replenishment(
    session: AsyncSession, publisher: Publisher, sku: str, cycle: int, quantity: int
) -> tuple[str, ...]:
    """See :meth:`services.ims.Ims.receive_replenishment`."""
    if not 1 <= quantity <= LARGEST_QUANTITY:
        raise InvalidInputError(
            f"replenishment {cycle} of {sku}: quantity must be from 1 to {LARGEST_QUANTITY}"
        )
    shelf = await _locked(session, sku, alone=False)
    row = await _ordered(session, sku, cycle)
    if row["state"] == ReplenishmentState.RECEIVED:
        return ()
    now = utc_now()
    await session.execute(
        _of(sku, cycle).values(state=ReplenishmentState.RECEIVED, received=quantity, received_at=now)
    )
    await session.execute(
        insert(receipts).values(
            receipt_id=receipt_id(sku, cycle), sku=sku, quantity=quantity, received_at=now
        )
    )
    shelf.change(sku, lambda item: item.expect(-row["ordered"]).receive(quantity).settle(cycle))
    served = await serve_waiting(session, shelf, [sku], publisher)
    await shelf.save(publisher)
    return tuple(served)


def receipt_id(sku: str, cycle: int) -> str:
    """The name of the one receipt of a replenishment."""
    return str(derived_id("receipt", "replenishment", sku, cycle))


async def _locked(session: AsyncSession, sku: str, *, alone: bool) -> Shelf:
    async def wanted() -> frozenset[str]:
        return frozenset({sku}) if alone else await skus_with_waiting_orders(session, [sku])

    shelf = await Shelf.lock(session, wanted)
    if sku not in shelf:
        raise UnknownItemError(f"IMS holds no item {sku}: load it first (`tidegate stock load`)")
    return shelf


async def _find(session: AsyncSession, sku: str, cycle: int) -> RowMapping | None:
    query = select(replenishments).where(replenishments.c.sku == sku, replenishments.c.cycle == cycle)
    return (await session.execute(query)).mappings().one_or_none()


async def _ordered(session: AsyncSession, sku: str, cycle: int) -> RowMapping:
    row = await _find(session, sku, cycle)
    if row is None or row["state"] == ReplenishmentState.NOT_NEEDED:
        raise IllegalTransitionError(f"no replenishment was ordered for cycle {cycle} of {sku}")
    return row


def _of(sku: str, cycle: int) -> Update:
    return update(replenishments).where(replenishments.c.sku == sku, replenishments.c.cycle == cycle)
