"""Orders that were paid and have shipped, over the real services: what returns are tested on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from infra.ids import order_id_of
from services.carts import Carts
from services.ims import Ims, StockRow
from services.oms import Oms
from services.orders import OrderLine
from services.returns import Pieces, Returns, SoldOrder
from services.sms import ReturnLabels
from tests.payments_support import Desk, open_desk
from tests.services_support import SERVICE_ROOMS, Database, PlainCarrier, submission
from tidegate.wiring.workflows import methods
from workflows.activities.carts import CartActivities
from workflows.activities.payments import PaymentActivities
from workflows.activities.restocking import RestockActivities
from workflows.activities.return_labels import ReturnLabelActivities
from workflows.activities.returns import ReturnActivities, sold_order

BOLTS = OrderLine("bolt", 3, Decimal("10.00"), Decimal("0.8889"))  # net 3.33
NUTS = OrderLine("nut", 2, Decimal("0.25"))


@dataclass(frozen=True, slots=True)
class Goods:
    """The services that a return goes through, on one database, with the provider's books."""

    database: Database
    desk: Desk
    oms: Oms
    ims: Ims
    returns: Returns
    labels: ReturnLabels
    carts: Carts

    async def stock(self, *rows: StockRow, name: str = "first") -> None:
        """Put goods on the shelf."""
        await self.ims.load(name, rows)

    async def sold(
        self, request_id: str, lines: Sequence[OrderLine] = (BOLTS, NUTS), *, flow: str = "paid"
    ) -> str:
        """An order that is allocated, paid for where its flow says so, and shipped; its id."""
        wanted, order_id = submission(request_id, lines=lines), order_id_of(request_id)
        await self.oms.create_order(wanted, flow=flow)
        await self.ims.allocate(order_id, [(line.sku, line.quantity) for line in lines], flow=flow)
        await self.oms.mark_order_reserved(order_id)
        if flow == "paid":
            await self.desk.captured(order_id, sum((line.net for line in lines), Decimal(0)))
            await self.oms.mark_order_confirmed(order_id)
        await self.ims.consume(order_id)
        await self.oms.mark_order_shipped(order_id, f"shipment-of-{order_id}")
        return order_id

    async def order(self, order_id: str) -> SoldOrder:
        """The order as the returns see it."""
        order = await self.oms.order(order_id)
        assert order is not None
        return sold_order(order)

    async def ask(self, order_id: str, return_id: str, **pieces: int) -> None:
        """A customer wants pieces to come back."""
        lines = [Pieces(sku, quantity) for sku, quantity in pieces.items()]
        await self.returns.request(return_id, order_id, "NOT_WANTED", lines)

    async def on_hand(self, sku: str) -> int:
        """Pieces on the shelf."""
        (item,) = await self.ims.stock(sku)
        assert item.received == item.on_hand + item.reserved + item.consumed
        return item.on_hand

    def activities(self, queue: str) -> list[Callable[..., Any]]:
        """The activities of one queue that returns and carts need."""
        return {
            "oms": [
                *methods(ReturnActivities(self.returns, self.oms)),
                *methods(CartActivities(self.carts)),
            ],
            "ims": methods(RestockActivities(self.ims)),
            "sms": methods(ReturnLabelActivities(self.labels)),
            "payments": methods(PaymentActivities(self.desk.payments)),
        }[queue]


@asynccontextmanager
async def open_goods(dsn: str) -> AsyncIterator[Goods]:
    """The services on the empty database at ``dsn``."""
    async with open_desk(dsn, rooms=SERVICE_ROOMS) as desk:
        sessions, outbox = desk.database.sessions, desk.database.outbox
        yield Goods(
            desk.database,
            desk,
            Oms(sessions, outbox),
            Ims(sessions, outbox),
            Returns(sessions, outbox),
            ReturnLabels(sessions, PlainCarrier()),
            Carts(sessions, outbox),
        )
