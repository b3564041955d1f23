"""The storefront: submits orders, and checkouts, through an outbox of its own, each request once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.tracing import spanned, tracer
from outbox import Append, Outbox
from schemas.event import Event
from schemas.events import CheckoutLine, CheckoutRequested, OrderSubmitted
from schemas.events import OrderLine as SubmittedLine
from services.orders import CheckoutSubmission, OrderSubmission
from services.publishing import DIRECT, PAID, utc_now
from services.upstream.simulation import Simulation
from services.upstream.tables import submissions as submitted

_SOURCE = "/upstream/storefront"
_BATCH = 500


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """What became of submissions: how many are new, how many were there, which differ from before.

    ``conflicts`` are request ids that were submitted earlier with other content; the earlier one stands.
    """

    submitted: int
    repeated: int
    conflicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Wish:
    """An order that somebody wants, paid for here or not: what makes it the same wish, and its event."""

    request_id: str
    order_id: str
    subject: str
    flow: str
    digest: bytes
    event: Event

    def append(self, now: datetime, *, version: int) -> Append:
        return Append(
            event=self.event,
            source=_SOURCE,
            version=version,
            subject=self.subject,
            correlation_id=self.order_id,
            extensions={"flow": self.flow},
            time=now,
        )


class Storefront:
    """Submits orders and checkouts to the database behind ``sessions``; with a ``simulation``, some of them twice."""

    def __init__(
        self,
        sessions: async_sessionmaker[AsyncSession],
        outbox: Outbox,
        simulation: Simulation | None = None,
    ) -> None:
        self._sessions = sessions
        self._outbox = outbox
        self._simulation = simulation or Simulation()

    async def submit(
        self,
        submissions: Sequence[OrderSubmission],
        *,
        flow: str = DIRECT,
        progress: Callable[[int], None] | None = None,
    ) -> SubmitResult:
        """Publish OrderSubmitted for every submission whose ``request_id`` was never submitted before.

        Batches of 500, each one transaction: after a crash, submitting the same again completes the work.
        ``progress`` is told how many have been dealt with, after each batch.
        """
        return await self._submit([_order_wish(one, flow) for one in submissions], progress)

    async def submit_checkouts(
        self, submissions: Sequence[CheckoutSubmission], *, progress: Callable[[int], None] | None = None
    ) -> SubmitResult:
        """Publish CheckoutRequested for every submission whose ``request_id`` was never submitted before.

        In batches as :meth:`submit`. A request is submitted as an order or as a checkout: the other is a conflict.
        """
        return await self._submit([_checkout_wish(one) for one in submissions], progress)

    async def _submit(self, wishes: Sequence[_Wish], progress: Callable[[int], None] | None) -> SubmitResult:
        new = 0
        conflicts: list[str] = []
        for start in range(0, len(wishes), _BATCH):
            batch = wishes[start : start + _BATCH]
            added, disputed = await self._submit_batch(batch)
            new += added
            conflicts += disputed
            if progress is not None:
                progress(start + len(batch))
        return SubmitResult(new, len(wishes) - new - len(conflicts), tuple(conflicts))

    async def _submit_batch(self, batch: Sequence[_Wish]) -> tuple[int, list[str]]:
        by_request = {one.request_id: one for one in batch}
        digests = {request_id: one.digest for request_id, one in by_request.items()}
        async with self._sessions.begin() as session:
            now = utc_now()
            added = (
                upsert(submitted)
                .values(
                    [
                        {
                            "request_id": request_id,
                            "order_id": by_request[request_id].order_id,
                            "digest": digests[request_id],
                            "submitted_at": now,
                        }
                        # One order for everybody: two processes that submit one file do not wait in a ring.
                        for request_id in sorted(by_request)
                    ]
                )
                .on_conflict_do_nothing()
                .returning(submitted.c.request_id)
            )
            new = set((await session.execute(added)).scalars())
            standing = await session.execute(
                select(submitted.c.request_id, submitted.c.digest).where(
                    submitted.c.request_id.in_(by_request.keys() - new)
                )
            )
            conflicts = sorted(request_id for request_id, digest in standing if digest != digests[request_id])
            wishes = [one for request_id, one in by_request.items() if request_id in new]
            with spanned(tracer("tidegate.upstream"), "submit orders"):
                await self._outbox.append_all(session, self._appends(wishes, now))
        return len(new), conflicts

    def _appends(self, wishes: Sequence[_Wish], now: datetime) -> list[Append]:
        """One event each, and behind them those that come a second time."""
        world = self._simulation
        again = [one for one in wishes if world.happens(world.duplicate, one.order_id, "submit/again")]
        renamed = [
            one for one in wishes if world.happens(world.duplicate_fact, one.order_id, "submit/renamed")
        ]
        return [
            *(one.append(now, version=1) for one in wishes),
            *(one.append(now, version=1) for one in again),
            *(one.append(now, version=2) for one in renamed),
        ]


def digest_of(submission: OrderSubmission) -> bytes:
    """What makes two submissions of one request the same: customer, currency and lines, not the time."""
    lines = [
        [line.sku, line.quantity, str(line.unit_price.normalize()), str(line.discount.normalize())]
        for line in submission.lines
    ]
    content = json.dumps([submission.customer_id, submission.currency, lines], ensure_ascii=True)
    return hashlib.sha256(content.encode()).digest()


def _order_wish(order: OrderSubmission, flow: str) -> _Wish:
    event = OrderSubmitted(
        order_id=order.order_id,
        request_id=order.request_id,
        customer_id=order.customer_id,
        currency=order.currency,
        ordered_at=order.ordered_at,
        lines=tuple(SubmittedLine(**asdict(line)) for line in order.lines),
    )
    return _Wish(order.request_id, order.order_id, order.order_id, flow, digest_of(order), event)


def _checkout_wish(checkout: CheckoutSubmission) -> _Wish:
    order = checkout.order
    event = CheckoutRequested(
        checkout_id=checkout.checkout_id,
        order_id=order.order_id,
        request_id=order.request_id,
        customer_id=order.customer_id,
        currency=order.currency,
        payment_token=checkout.payment_token,
        requested_at=order.ordered_at,
        lines=tuple(CheckoutLine(**asdict(line)) for line in order.lines),
    )
    content = json.dumps([checkout.checkout_id, checkout.payment_token, digest_of(order).hex()])
    digest = hashlib.sha256(content.encode()).digest()
    return _Wish(order.request_id, order.order_id, checkout.checkout_id, PAID, digest, event)
