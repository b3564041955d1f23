"""What a checkout can be asked to do: each operation one transaction, idempotent by its id, guarded by its state.

The first statement that touches a checkout locks its row, as in OMS. An ending (reject, expire) bears that
the checkout was never recorded, and then keeps a late attempt to validate it from having an effect.

Source: 000, "Architecture", "Decision": the database is the source of truth; design §4, "Who publishes what".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from outbox import Outbox
from schemas.event import Event
from schemas.events import CheckoutCompleted, CheckoutExpired, CheckoutRejected, FraudCheckRequested
from services.checkouts.rules import reasons_against_checkout
from services.checkouts.states import CHECKOUT, CheckoutState
from services.checkouts.tables import checkout_lines, checkouts
from services.checkouts.views import CheckoutView, read_checkouts, read_counts
from services.errors import IllegalTransitionError, UnknownCheckoutError
from services.order_rules import storable
from services.orders import CheckoutSubmission
from services.publishing import Publisher, utc_now

_LONGEST_REASON = 1000


class Checkouts:
    """The operations of the checkouts, on the database behind ``sessions``."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._publisher = Publisher(outbox, "/services/checkouts")

    async def validate(self, submission: CheckoutSubmission) -> tuple[str, ...]:
        """Why ``submission`` is invalid; empty where it is valid. Publishes nothing.

        The first verdict on a checkout id is recorded and stands: asked again, it is read back. A valid
        checkout holds its order from here on, and no other ever does: a second checkout of one request is
        invalid, so that it can neither charge, nor create, nor give up what is the first one's. Raises
        :class:`IllegalTransitionError` for a checkout that has ended.
        """
        async with self._sessions.begin() as session:
            reasons = reasons_against_checkout(submission)
            if not reasons:
                if await self._record(session, submission):
                    return ()
                recorded = await _verdict(session, submission.checkout_id)
                if recorded is not None:
                    return recorded
                reasons = (f"order {submission.order.order_id} is another checkout's",)
            if await self._record(session, submission, reasons):
                return reasons
            return await _verdict(session, storable(submission.checkout_id)) or ()

    async def request_fraud_check(self, checkout_id: str) -> None:
        """Ask for a decision: VALIDATED → AWAITING_DECISION; publishes FraudCheckRequested, once."""
        async with self._sessions.begin() as session:
            checkout = await _locked(session, checkout_id)
            state = CHECKOUT.step("request_fraud_check", CheckoutState(checkout["state"]), checkout_id)
            if state is None:
                return
            now = utc_now()
            event = FraudCheckRequested(
                checkout_id=checkout_id,
                order_id=checkout["order_id"],
                customer_id=checkout["customer_id"],
                amount=checkout["amount"],
                currency=checkout["currency"],
                requested_at=now,
            )
            await self._publish_next(session, checkout, event, state=state, fraud_check_requested_at=now)

    async def complete(self, checkout_id: str) -> None:
        """The checkout is approved and its order has begun; publishes CheckoutCompleted."""
        async with self._sessions.begin() as session:
            checkout = await _locked(session, checkout_id)
            state = CHECKOUT.step("complete", CheckoutState(checkout["state"]), checkout_id)
            if state is None:
                return
            now = utc_now()
            event = CheckoutCompleted(
                checkout_id=checkout_id, order_id=checkout["order_id"], completed_at=now
            )
            await self._publish_next(session, checkout, event, state=state, closed_at=now)

    async def reject(self, checkout_id: str, order_id: str, code: str, reason: str) -> None:
        """The checkout came to nothing; publishes CheckoutRejected. Bears that it was never recorded.

        ``code`` is for programs: INVALID, DECLINED, FRAUD, MANUAL_REVIEW, UNAVAILABLE or CANCELLED.
        """
        checkout_id, order_id, sentence = storable(checkout_id), storable(order_id), _sentence(reason)

        def event_at(at: datetime) -> Event:
            return CheckoutRejected(
                checkout_id=checkout_id, order_id=order_id, code=code, reason=sentence, rejected_at=at
            )

        async with self._sessions.begin() as session:
            await self._end(
                session, "reject", checkout_id, order_id, event_at, code=code, closing_reason=sentence
            )

    async def expire(self, checkout_id: str, order_id: str, waited_for: str) -> None:
        """No decision came in time; publishes CheckoutExpired. Bears that it was never recorded.

        ``waited_for`` is the decision that did not come: ``fraudDecision`` or ``manualReviewDecision``.
        """
        checkout_id, order_id = storable(checkout_id), storable(order_id)

        def event_at(at: datetime) -> Event:
            return CheckoutExpired(
                checkout_id=checkout_id, order_id=order_id, waited_for=waited_for, expired_at=at
            )

        async with self._sessions.begin() as session:
            await self._end(session, "expire", checkout_id, order_id, event_at, waited_for=waited_for)

    # Reading.

    async def checkout(self, checkout_id: str) -> CheckoutView | None:
        """The checkout as it stands, or ``None``."""
        async with self._sessions() as session:
            found = await read_checkouts(session, checkout_id=checkout_id)
        return found[0] if found else None

    async def checkouts(self, limit: int = 100, state: str | None = None) -> list[CheckoutView]:
        """At most ``limit`` checkouts, newest first, only those in ``state`` where one is given."""
        async with self._sessions() as session:
            return await read_checkouts(session, state=state, limit=limit)

    async def counts(self) -> dict[str, int]:
        """How many checkouts are in each state."""
        async with self._sessions() as session:
            return await read_counts(session)

    async def _record(
        self, session: AsyncSession, submission: CheckoutSubmission, reasons: tuple[str, ...] = ()
    ) -> bool:
        """Write the checkout, unless one stands in its way; whether it did."""
        order = submission.order
        row: dict[str, Any] = {
            "checkout_id": storable(submission.checkout_id),
            "order_id": storable(order.order_id),
            "holds_order": not reasons,
            "state": CheckoutState.INVALID if reasons else CheckoutState.VALIDATED,
            "version": 0,
            "reasons": list(reasons),
            "recorded_at": utc_now(),
        }
        if not reasons:
            row |= {
                "request_id": order.request_id,
                "customer_id": order.customer_id,
                "currency": order.currency,
                "amount": submission.amount,
                "requested_at": order.ordered_at,
            }
        written = upsert(checkouts).values(row).on_conflict_do_nothing().returning(checkouts.c.checkout_id)
        if (await session.execute(written)).scalar_one_or_none() is None:
            return False
        if not reasons:
            await session.execute(insert(checkout_lines), _line_rows(submission))
        return True

    async def _end(
        self,
        session: AsyncSession,
        operation: str,
        checkout_id: str,
        order_id: str,
        event_at: Callable[[datetime], Event],
        **changes: Any,
    ) -> None:
        now = utc_now()
        # A checkout that was never validated ends all the same, and stays ended.
        never_recorded = upsert(checkouts).values(
            checkout_id=checkout_id,
            order_id=order_id,
            holds_order=False,
            state=CheckoutState.INVALID,
            version=0,
            reasons=["it was given up before it was validated"],
            recorded_at=now,
        )
        await session.execute(never_recorded.on_conflict_do_nothing())
        checkout = await _locked(session, checkout_id)
        state = CHECKOUT.step(operation, CheckoutState(checkout["state"]), checkout_id)
        if state is not None:
            changes |= {"state": state, "closed_at": now}
            await self._publish_next(session, checkout, event_at(now), **changes)

    async def _publish_next(
        self, session: AsyncSession, checkout: RowMapping, event: Event, **changes: Any
    ) -> None:
        version = checkout["version"] + 1
        checkout_id = checkout["checkout_id"]
        await session.execute(
            update(checkouts).where(checkouts.c.checkout_id == checkout_id).values(version=version, **changes)
        )
        await self._publisher.event_about(
            session, event, subject=checkout_id, version=version, order_id=checkout["order_id"]
        )


async def _locked(session: AsyncSession, checkout_id: str) -> RowMapping:
    found = await session.execute(
        select(checkouts).where(checkouts.c.checkout_id == checkout_id).with_for_update()
    )
    checkout = found.mappings().one_or_none()
    if checkout is None:
        raise UnknownCheckoutError(f"there is no checkout {checkout_id}")
    return checkout


async def _verdict(session: AsyncSession, checkout_id: str) -> tuple[str, ...] | None:
    """The reasons that are on record against a checkout; None where there is no such checkout."""
    found = await session.execute(
        select(checkouts.c.state, checkouts.c.reasons).where(checkouts.c.checkout_id == checkout_id)
    )
    checkout = found.mappings().one_or_none()
    if checkout is None:
        return None
    if checkout["state"] in (CheckoutState.REJECTED, CheckoutState.EXPIRED):
        raise IllegalTransitionError(f"checkout {checkout_id} has ended: {checkout['state']}")
    return tuple(checkout["reasons"])


def _sentence(reason: str) -> str:
    """``reason``, which may come from elsewhere, as a database can hold it."""
    return reason[:_LONGEST_REASON].replace("\0", "?")


def _line_rows(submission: CheckoutSubmission) -> list[dict[str, Any]]:
    return [
        {
            "checkout_id": submission.checkout_id,
            "line": number,
            "sku": line.sku,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "discount": line.discount,
            "net": line.net,
        }
        for number, line in enumerate(submission.order.lines)
    ]
