"""Reading, locking and changing the row of a payment, and writing down what the provider is asked.

Every change of a payment goes through :class:`PaymentRow`, which holds the row's lock until the transaction ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from infra.ids import derived_id
from schemas.event import Event
from services.errors import UnknownOrderError
from services.payments.states import PAYMENT, Operation, PaymentState
from services.payments.tables import attempts, payments
from services.publishing import PAID, Publisher, utc_now


def payment_id_of(order_id: str) -> str:
    """The id of the order's one payment."""
    return str(derived_id("payment", order_id))


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the provider that was written down and is about to be made."""

    attempt: int
    key: str


async def insert_payment(session: AsyncSession, order_id: str, state: PaymentState, **values: Any) -> bool:
    """Make the order's payment; False where there is one (having waited for who makes it)."""
    made = (
        upsert(payments)
        .values(
            order_id=order_id,
            payment_id=payment_id_of(order_id),
            state=state,
            closing=False,
            version=0,
            captured=Decimal(0),
            refunded=Decimal(0),
            requested_at=utc_now(),
            **values,
        )
        .on_conflict_do_nothing()
        .returning(payments.c.order_id)
    )
    return (await session.execute(made)).scalar_one_or_none() is not None


async def find_payment(session: AsyncSession, order_id: str, *, lock: bool = False) -> RowMapping | None:
    """The order's payment, locked until the transaction ends where asked, or ``None``."""
    query = select(payments).where(payments.c.order_id == order_id)
    found = await session.execute(query.with_for_update() if lock else query)
    return found.mappings().one_or_none()


async def known_payment(session: AsyncSession, order_id: str) -> RowMapping:
    """The order's payment, not locked. Raises :class:`UnknownOrderError`."""
    found = await find_payment(session, order_id)
    if found is None:
        raise UnknownOrderError(f"there is no payment of order {order_id}")
    return found


class PaymentRow:
    """The locked payment of one order, in one transaction. Made by :meth:`lock`."""

    def __init__(self, session: AsyncSession, publisher: Publisher, row: RowMapping) -> None:
        self._session = session
        self._publisher = publisher
        self._row = dict(row)

    @classmethod
    async def lock(cls, session: AsyncSession, publisher: Publisher, order_id: str) -> PaymentRow:
        """Wait for the row and lock it. Raises :class:`UnknownOrderError` where there is none."""
        row = await find_payment(session, order_id, lock=True)
        if row is None:
            raise UnknownOrderError(f"there is no payment of order {order_id}")
        return cls(session, publisher, row)

    def __getitem__(self, column: str) -> Any:
        return self._row[column]

    @property
    def state(self) -> PaymentState:
        """Where the payment is now."""
        return PaymentState(self._row["state"])

    def step(self, operation: str) -> PaymentState | None:
        """Where ``operation`` leads; ``None`` where it was done. Raises :class:`IllegalTransitionError`."""
        return PAYMENT.step(operation, self.state, self._row["order_id"])

    async def change(self, event: Event | None = None, *, flow: str | None = PAID, **values: Any) -> None:
        """Set ``values`` and publish ``event``, the next of this payment, in the same transaction."""
        if event is not None:
            values["version"] = self._row["version"] + 1
        self._row.update(values)
        order_id = self._row["order_id"]
        await self._session.execute(update(payments).where(payments.c.order_id == order_id).values(**values))
        if event is not None:
            await self._publisher.order_event(
                self._session, event, order_id=order_id, version=values["version"], flow=flow
            )

    async def intend(self, operation: Operation, key: str) -> Call:
        """Write down that the provider is about to be asked under ``key``: what hangs can then be found."""
        asked = (
            insert(attempts)
            .values(
                order_id=self._row["order_id"], operation=operation, idempotency_key=key, asked_at=utc_now()
            )
            .returning(attempts.c.attempt)
        )
        return Call((await self._session.execute(asked)).scalar_one(), key)


async def note_answer(session: AsyncSession, call: Call, answer: str) -> None:
    """Write down how the provider answered: ``OK``, or the kind of its refusal."""
    await session.execute(
        update(attempts)
        .where(attempts.c.attempt == call.attempt)
        .values(answered_at=utc_now(), answer=answer)
    )
