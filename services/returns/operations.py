"""What can be asked about a return: each operation one transaction, idempotent by return id, guarded by its state.

Whoever counts the pieces that come back from an order locks the order's row here first, then the return's. So two
returns of one order never both get its last piece, and what each is worth depends on their order alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import RowMapping, bindparam, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from outbox import Outbox
from schemas.event import Event
from schemas.events import (
    ReconciliationAlert,
    ReturnApproved,
    ReturnCompleted,
    ReturnLine,
    ReturnRejected,
    ReturnRequested,
)
from services.errors import IllegalTransitionError, InvalidReturnError, UnknownReturnError
from services.publishing import PAID, Publisher, utc_now
from services.returns.rules import amount_owed, counted, reason_against, reasons_against_request
from services.returns.states import RETURN, ReturnState
from services.returns.tables import orders, reminders, return_lines, returns
from services.returns.values import Disposition, Found, Pieces, Settlement, SoldOrder, Verdict
from services.returns.views import (
    ReturnView,
    pieces_elsewhere,
    pieces_settled,
    read_announced,
    read_returns,
    read_settlement,
)

INSPECTION = "INSPECTION"
"""What a reminder is about that goes to the warehouse; the others go to the customer (``PARCEL``)."""


class Returns:
    """The operations of the returns, on the database behind ``sessions``."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/returns")

    async def request(
        self, return_id: str, order_id: str, reason_code: str, lines: Sequence[Pieces]
    ) -> ReturnState:
        """A customer wants ``lines`` of an order to come back; publishes ReturnRequested. Nothing is judged yet.

        Once for each ``return_id``; gives where the return stands. Raises :class:`InvalidReturnError` for what can
        never be a return, or for an id that was used for another one.
        """
        if reasons := reasons_against_request(return_id, order_id, reason_code, lines):
            raise InvalidReturnError(f"return {return_id} of order {order_id}: {'; '.join(reasons)}")
        async with self._sessions.begin() as session:
            now = utc_now()
            await session.execute(upsert(orders).values(order_id=order_id).on_conflict_do_nothing())
            made = (
                upsert(returns)
                .values(
                    return_id=return_id,
                    order_id=order_id,
                    reason_code=reason_code,
                    state=ReturnState.REQUESTED,
                    version=1,
                    requested_at=now,
                )
                .on_conflict_do_nothing()
                .returning(returns.c.return_id)
            )
            if (await session.execute(made)).scalar_one_or_none() is None:
                return await _require_same(session, return_id, order_id, reason_code, lines)
            await session.execute(
                insert(return_lines),
                [{"return_id": return_id, "sku": line.sku, "quantity": line.quantity} for line in lines],
            )
            requested = ReturnRequested(
                return_id=return_id,
                order_id=order_id,
                reason_code=reason_code,
                requested_at=now,
                lines=tuple(ReturnLine(sku=line.sku, quantity=line.quantity) for line in lines),
            )
            await self._publisher.aggregate_event(
                session, requested, subject=return_id, version=1, order_id=order_id
            )
        return ReturnState.REQUESTED

    async def check_policy(self, return_id: str, order: SoldOrder) -> Verdict:
        """Whether the policy allows the return; where it does, REQUESTED → ACCEPTED, and its pieces are set aside.

        A verdict that was acted on stands: asked again, it is read back. Publishes nothing.
        """
        async with self._sessions.begin() as session:
            row = await _locked(session, return_id, order.order_id)
            if row["state"] == ReturnState.REJECTED:
                return Verdict(accepted=False, reason=row["closing_reason"])
            state = RETURN.step("accept", ReturnState(row["state"]), return_id)
            if state is None:
                return Verdict(accepted=True)
            announced = await read_announced(session, return_id)
            reason = reason_against(
                order,
                [Pieces(sku, quantity) for sku, quantity in announced.items()],
                await pieces_elsewhere(session, order.order_id, return_id),
                row["requested_at"],
            )
            if reason is not None:
                return Verdict(accepted=False, reason=reason)
            await _write(
                session,
                return_id,
                state=state,
                accepted_at=utc_now(),
                flow=order.flow,
                currency=order.currency,
            )
            return Verdict(accepted=True)

    async def approve(self, return_id: str, order_id: str, tracking_number: str) -> None:
        """The parcel has its label, and may come: ACCEPTED → APPROVED; publishes ReturnApproved."""
        async with self._sessions.begin() as session:
            row = await _locked(session, return_id, order_id)
            lines = await read_announced(session, return_id)
            await self._advance(
                session,
                row,
                "approve",
                "approved_at",
                lambda at: ReturnApproved(
                    return_id=return_id,
                    order_id=order_id,
                    tracking_number=tracking_number,
                    approved_at=at,
                    lines=tuple(ReturnLine(sku=sku, quantity=quantity) for sku, quantity in lines.items()),
                ),
                tracking_number=tracking_number,
            )

    async def remind(self, return_id: str, order_id: str, about: str, number: int) -> bool:
        """Remind somebody for the ``number``-th time that the return waits; False where that was done.

        ``PARCEL`` is for the customer, ``INSPECTION`` for the warehouse. A reminder is a row, for whoever sends
        messages; an overdue inspection is an alert too, because the customer's money hangs on it.
        """
        async with self._sessions.begin() as session:
            row = await _locked(session, return_id, order_id)
            now = utc_now()
            sent = (
                upsert(reminders)
                .values(return_id=return_id, about=about, number=number, sent_at=now)
                .on_conflict_do_nothing()
                .returning(reminders.c.number)
            )
            if (await session.execute(sent)).scalar_one_or_none() is None:
                return False
            if about == INSPECTION:
                alert = ReconciliationAlert(
                    subject=return_id,
                    kind="RETURN_NOT_INSPECTED",
                    detail=f"the parcel of the return is here and nobody has inspected it (reminder {number})",
                    found_at=now,
                )
                await self._publish_next(session, row, alert)
            return True

    async def assess(self, return_id: str, order: SoldOrder, found: Sequence[Found]) -> Settlement:
        """What the first inspection comes to: APPROVED → INSPECTED. Asked again, whatever is ``found``, the same.

        Never more of a sku than was announced counts; pieces that are not accepted may be announced again. The
        amount is the pro-rata net of the pieces accepted (:mod:`services.returns.rules`), zero for an order whose
        money was not taken through tidegate. Publishes nothing.
        """
        async with self._sessions.begin() as session:
            row = await _locked(session, return_id, order.order_id)
            state = RETURN.step("assess", ReturnState(row["state"]), return_id)
            if state is None:
                return await read_settlement(session, row)
            counts = counted(await read_announced(session, return_id), found)
            accepted = {
                sku: by[Disposition.RESTOCK] + by[Disposition.SCRAP] for sku, by in sorted(counts.items())
            }
            before = await pieces_settled(session, order.order_id)
            paid = order.flow == PAID
            amount = amount_owed(order.lines, before, accepted) if paid else Decimal("0.00")
            await (await session.connection()).execute(
                _SETTLE_LINE,
                [
                    {
                        "of_return": return_id,
                        "of_sku": sku,
                        "new_restocked": by[Disposition.RESTOCK],
                        "new_scrapped": by[Disposition.SCRAP],
                        "new_refused": by[Disposition.REJECT],
                    }
                    for sku, by in counts.items()
                ],
            )
            await _write(session, return_id, state=state, inspected_at=utc_now(), amount=amount)
            return await read_settlement(session, {**row, "amount": amount})

    async def complete(self, return_id: str, order_id: str, refunded: Decimal) -> None:
        """The money is refunded and the goods are where they belong: INSPECTED → COMPLETED; ReturnCompleted.

        Raises :class:`IllegalTransitionError` for a refund above what is owed.
        """
        async with self._sessions.begin() as session:
            row = await _locked(session, return_id, order_id)
            if row["amount"] is not None and refunded > row["amount"]:
                raise IllegalTransitionError(
                    f"return {return_id}: {refunded} were refunded where {row['amount']} are owed"
                )
            await self._advance(
                session,
                row,
                "complete",
                "closed_at",
                lambda at: ReturnCompleted(
                    return_id=return_id,
                    order_id=order_id,
                    refunded=refunded,
                    currency=row["currency"],
                    completed_at=at,
                ),
                refunded=refunded,
            )

    async def reject(self, return_id: str, order_id: str, code: str, reason: str) -> None:
        """The return ends without a refund, and its pieces are free for another one; publishes ReturnRejected.

        Raises :class:`IllegalTransitionError` once pieces were accepted: those are paid for.
        """
        async with self._sessions.begin() as session:
            row = await _locked(session, return_id, order_id)
            if row["state"] == ReturnState.INSPECTED and (await read_settlement(session, row)).accepted:
                raise IllegalTransitionError(
                    f"return {return_id} is INSPECTED and pieces of it were accepted: it is to be completed"
                )
            await self._advance(
                session,
                row,
                "reject",
                "closed_at",
                lambda at: ReturnRejected(
                    return_id=return_id, order_id=order_id, code=code, reason=reason, rejected_at=at
                ),
                code=code,
                closing_reason=reason,
            )

    # Reading.

    async def view(self, return_id: str) -> ReturnView | None:
        """The return as it stands, or ``None``."""
        async with self._sessions() as session:
            found = await read_returns(session, return_id=return_id)
        return found[0] if found else None

    async def views(
        self, *, state: str | None = None, order_id: str | None = None, limit: int = 100
    ) -> list[ReturnView]:
        """At most ``limit`` returns, newest first, only those in ``state`` or of ``order_id`` where given."""
        async with self._sessions() as session:
            return await read_returns(session, state=state, order_id=order_id, limit=limit)

    async def _advance(
        self,
        session: AsyncSession,
        row: RowMapping,
        operation: str,
        stamp: str,
        event_at: Callable[[datetime], Event],
        **changes: Any,
    ) -> None:
        state = RETURN.step(operation, ReturnState(row["state"]), row["return_id"])
        if state is None:
            return
        now = utc_now()
        await self._publish_next(session, row, event_at(now), **changes, **{"state": state, stamp: now})

    async def _publish_next(
        self, session: AsyncSession, row: RowMapping, event: Event, **changes: Any
    ) -> None:
        version = row["version"] + 1
        await _write(session, row["return_id"], version=version, **changes)
        await self._publisher.aggregate_event(
            session,
            event,
            subject=row["return_id"],
            version=version,
            order_id=row["order_id"],
            flow=row["flow"],
        )


async def _locked(session: AsyncSession, return_id: str, order_id: str) -> RowMapping:
    """The return, after the order that it is of; nobody else counts the order's pieces until the transaction ends."""
    await session.execute(select(orders).where(orders.c.order_id == order_id).with_for_update())
    query = select(returns).where(returns.c.return_id == return_id, returns.c.order_id == order_id)
    row = (await session.execute(query.with_for_update())).mappings().one_or_none()
    if row is None:
        raise UnknownReturnError(f"no return {return_id} of order {order_id} is on record")
    return row


async def _write(session: AsyncSession, return_id: str, **changes: Any) -> None:
    await session.execute(update(returns).where(returns.c.return_id == return_id).values(**changes))


_SETTLE_LINE = (
    update(return_lines)
    .where(return_lines.c.return_id == bindparam("of_return"), return_lines.c.sku == bindparam("of_sku"))
    .values(
        restocked=bindparam("new_restocked"),
        scrapped=bindparam("new_scrapped"),
        refused=bindparam("new_refused"),
    )
)


async def _require_same(
    session: AsyncSession, return_id: str, order_id: str, reason_code: str, lines: Sequence[Pieces]
) -> ReturnState:
    row = (await session.execute(select(returns).where(returns.c.return_id == return_id))).mappings().one()
    wanted = Counter({line.sku: line.quantity for line in lines})
    same = (row["order_id"], row["reason_code"]) == (order_id, reason_code)
    if not same or await read_announced(session, return_id) != wanted:
        raise InvalidReturnError(f"return {return_id} was asked for before with other content, which stands")
    return ReturnState(row["state"])
