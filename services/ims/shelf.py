"""The items that one transaction has locked, what it does with them, and the notices that follow.

Every transaction that moves stock locks all its items first, in the order of their skus, and only then
touches reservations. So two of them never wait for each other in a ring, and whoever holds the items of a
waiting order may change its reservation.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeAlias

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from schemas.events import StockBelowReorderPoint
from services.ims.item import Item
from services.ims.tables import items
from services.publishing import Publisher, utc_now

_SMALLEST = -(2**31)

Moves: TypeAlias = Mapping[str, int]
"""How many pieces of each sku to move."""


Movement: TypeAlias = Callable[[Item, int], Item]
"""What happens to the pieces of an item: ``Item.reserve``, ``Item.consume`` …"""


class Shelf:
    """Locked items. Changes stay here until :meth:`save` writes them and publishes what was noticed."""

    def __init__(self, session: AsyncSession, locked: Mapping[str, Item]) -> None:
        self._session = session
        self._before = dict(locked)
        self._items = dict(locked)

    @classmethod
    async def lock(cls, session: AsyncSession, wanted: Callable[[], Awaitable[frozenset[str]]]) -> Shelf:
        """Lock all items that ``wanted`` names, in the order of their skus; unknown skus are left out.

        What is wanted depends on rows that others may change until the items are locked. So it is asked for
        again afterwards, and when it has grown, the locks are given back and taken anew: adding locks to
        locks already held would break the order.
        """
        skus = await wanted()
        while True:
            attempt = await session.begin_nested()
            rows = await session.execute(
                select(items).where(items.c.sku.in_(skus)).order_by(items.c.sku).with_for_update()
            )
            locked = {row["sku"]: Item(**row) for row in rows.mappings()}
            grown = skus | await wanted()
            if grown == skus:
                await attempt.commit()
                return cls(session, locked)
            await attempt.rollback()
            skus = grown

    def __contains__(self, sku: str) -> bool:
        return sku in self._items

    def __getitem__(self, sku: str) -> Item:
        return self._items[sku]

    @property
    def skus(self) -> frozenset[str]:
        """The skus that are locked."""
        return frozenset(self._items)

    @property
    def on_hand(self) -> dict[str, int]:
        """Pieces on hand by sku, as changed so far."""
        return {sku: item.on_hand for sku, item in self._items.items()}

    @property
    def free(self) -> dict[str, int]:
        """Pieces by sku that nobody has a claim on, as changed so far."""
        return {sku: item.free for sku, item in self._items.items()}

    def move(self, parts: Moves, movement: Movement) -> None:
        """Apply ``movement`` to each sku of ``parts``."""
        for sku, quantity in parts.items():
            self._items[sku] = movement(self._items[sku], quantity)

    def change(self, sku: str, change: Callable[[Item], Item]) -> Item:
        """Apply ``change`` to ``sku``; the item as it is then."""
        self._items[sku] = change(self._items[sku])
        return self._items[sku]

    def set_reorder_points(self, points: Mapping[str, int]) -> None:
        """Give items the reorder points in ``points``."""
        for sku, point in points.items():
            self._items[sku] = Item(**{**_columns(self._items[sku]), "reorder_point": point})

    async def save(self, publisher: Publisher) -> None:
        """Write every item that changed, and publish StockBelowReorderPoint for each new shortage."""
        rows, short = [], []
        for sku in sorted(self._items):
            item, is_new = self._items[sku].noticed()
            if item != self._before[sku]:
                rows.append({f"new_{name}": value for name, value in _columns(item).items()})
            if is_new:
                short.append(item)
        if rows:
            connection = await self._session.connection()
            await connection.execute(_WRITE, rows)
        for item in short:
            await publisher.item_event(self._session, _notice(item), sku=item.sku, version=item.version)


def _notice(item: Item) -> StockBelowReorderPoint:
    return StockBelowReorderPoint(
        sku=item.sku,
        cycle=item.cycle,
        available=max(item.free, _SMALLEST),
        reorder_point=item.reorder_point,
        noticed_at=utc_now(),
    )


def _columns(item: Item) -> dict[str, Any]:
    return {column.name: getattr(item, column.name) for column in items.columns}


def _write(names: Iterable[str]) -> Any:
    return (
        update(items)
        .where(items.c.sku == bindparam("new_sku"))
        .values({name: bindparam(f"new_{name}") for name in names if name != "sku"})
    )


_WRITE = _write(column.name for column in items.columns)


async def ensure_items(session: AsyncSession, skus: Iterable[str]) -> None:
    """Make an empty item of each sku that is not there yet. Loads run one at a time."""
    known = set((await session.execute(select(items.c.sku).where(items.c.sku.in_(list(skus))))).scalars())
    if missing := [_columns(Item(sku)) for sku in sorted(set(skus) - known)]:
        await session.execute(insert(items), missing)
