"""Stock that comes in: a receipt of one sku, or a load of many with their reorder points and components."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from infra.errors import InvalidInputError
from services.errors import BillOfMaterialsError, UnknownItemError
from services.goods import StockRow
from services.ims.bill_of_materials import find_cycle
from services.ims.item import LARGEST_QUANTITY, Item
from services.ims.serving import serve_waiting, skus_with_waiting_orders
from services.ims.shelf import Shelf, ensure_items
from services.ims.tables import components, items, loads, receipts
from services.ims.views import read_bill
from services.publishing import Publisher, utc_now

_ONE_LOAD_AT_A_TIME = 0x696D736C6F6164  # "imsload"


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a load did: items named, pieces that came in, waiting orders served, in the order of the queue.

    ``repeated`` is true where the load id was there already and nothing was done.
    """

    load_id: str
    items: int
    pieces: int
    served: tuple[str, ...] = ()
    repeated: bool = False


async def receive_stock(
    session: AsyncSession, publisher: Publisher, receipt_id: str, sku: str, quantity: int
) -> tuple[str, ...]:
    """See :meth:`services.ims.Ims.receive`."""
    if not 1 <= quantity <= LARGEST_QUANTITY:
        raise InvalidInputError(f"receipt {receipt_id}: quantity must be from 1 to {LARGEST_QUANTITY}")
    shelf = await Shelf.lock(session, lambda: skus_with_waiting_orders(session, [sku]))
    if sku not in shelf:
        raise UnknownItemError(f"IMS holds no item {sku}: load it first (`tidegate stock load`)")
    receipt = (
        upsert(receipts)
        .values(receipt_id=receipt_id, sku=sku, quantity=quantity, received_at=utc_now())
        .on_conflict_do_nothing()
        .returning(receipts.c.receipt_id)
    )
    if (await session.execute(receipt)).scalar_one_or_none() is None:
        return ()
    shelf.move({sku: quantity}, Item.receive)
    served = await serve_waiting(session, shelf, [sku], publisher)
    await shelf.save(publisher)
    return tuple(served)


async def load_stock(
    session: AsyncSession, publisher: Publisher, load_id: str, rows: Sequence[StockRow]
) -> LoadResult:
    """See :meth:`services.ims.Ims.load`."""
    _check_rows(rows)
    await session.execute(select(func.pg_advisory_xact_lock(_ONE_LOAD_AT_A_TIME)))
    earlier = (
        (await session.execute(select(loads).where(loads.c.load_id == load_id))).mappings().one_or_none()
    )
    if earlier is not None:
        return LoadResult(load_id, earlier["items"], earlier["pieces"], repeated=True)
    skus = [row.sku for row in rows]
    await _check_components(session, rows)
    await ensure_items(session, skus)
    shelf = await Shelf.lock(session, lambda: skus_with_waiting_orders(session, skus))
    await _replace_components(session, rows)
    shelf.set_reorder_points({row.sku: row.reorder_point for row in rows})
    shelf.move({row.sku: row.on_hand for row in rows}, Item.receive)
    served = await serve_waiting(session, shelf, skus, publisher)
    await shelf.save(publisher)
    result = LoadResult(load_id, len(rows), sum(row.on_hand for row in rows), tuple(served))
    await session.execute(
        insert(loads).values(load_id=load_id, items=result.items, pieces=result.pieces, loaded_at=utc_now())
    )
    return result


def _check_rows(rows: Sequence[StockRow]) -> None:
    if twice := [sku for sku, number in Counter(row.sku for row in rows).items() if number > 1]:
        raise InvalidInputError(f"sku {twice[0]} stands in the load more than once")
    for row in rows:
        for name, value in (("on_hand", row.on_hand), ("reorder_point", row.reorder_point)):
            if not 0 <= value <= LARGEST_QUANTITY:
                raise InvalidInputError(
                    f"sku {row.sku}: {name} must be from 0 to {LARGEST_QUANTITY}, is {value}"
                )


async def _check_components(session: AsyncSession, rows: Sequence[StockRow]) -> None:
    kits = {row.sku: row.components for row in rows if row.components}
    named = {component for needed in kits.values() for component, _ in needed}
    known = (await session.execute(select(items.c.sku).where(items.c.sku.in_(named)))).scalars()
    if unknown := named.difference(known, (row.sku for row in rows)):
        missing = min(unknown)
        kit = min(sku for sku, needed in kits.items() if missing in dict(needed))
        raise BillOfMaterialsError(f"sku {kit}: its component {missing} is neither in the load nor in stock")
    bill = {**await read_bill(session, named), **kits}
    if cycle := find_cycle(sorted(kits), bill):
        raise BillOfMaterialsError(f"sku {cycle[0]}: it would be made of itself ({' → '.join(cycle)})")


async def _replace_components(session: AsyncSession, rows: Sequence[StockRow]) -> None:
    kits = [row for row in rows if row.components]
    if not kits:
        return
    await session.execute(delete(components).where(components.c.sku.in_([kit.sku for kit in kits])))
    await session.execute(
        insert(components),
        [
            {"sku": kit.sku, "component": component, "quantity": quantity}
            for kit in kits
            for component, quantity in kit.components
        ],
    )
