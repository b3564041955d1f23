"""Reviewers: people who decide, by ``tidegate checkout decide``, on checkouts that were sent to review."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from infra.errors import InvalidInputError
from infra.ids import is_word
from outbox import Outbox
from schemas.events import ManualReviewDecided
from services.publishing import PAID, utc_now
from services.upstream.fraud import APPROVED, REJECTED
from services.upstream.tables import reviews

DECISIONS: Final = (APPROVED, REJECTED)


@dataclass(frozen=True, slots=True)
class Review:
    """The decision that stands on a checkout; ``new`` where it is the one that was just made."""

    checkout_id: str
    decision: str
    reviewer_id: str
    new: bool


class Reviewers:
    """Decides in the upstream database behind ``sessions``, and publishes through its outbox."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], outbox: Outbox) -> None:
        self._sessions = sessions
        self._outbox = outbox

    async def decide(
        self, checkout_id: str, decision: str, reviewer_id: str, reason: str | None = None
    ) -> Review:
        """Decide on a checkout, once: publishes ManualReviewDecided. A later decision changes nothing.

        ``reviewer_id`` is a reference to a person, never a name. Raises :class:`InvalidInputError` for a decision
        that is neither ``approved`` nor ``rejected``, and for a reviewer who is named.
        """
        if decision not in DECISIONS:
            raise InvalidInputError(f"a decision is {' or '.join(DECISIONS)}, not {decision!r}")
        if not is_word(reviewer_id):
            raise InvalidInputError(
                "a reviewer is named by a reference: one word of letters, digits and . _ : / ~ -"
            )
        async with self._sessions.begin() as session:
            now = utc_now()
            written = (
                upsert(reviews)
                .values(
                    checkout_id=checkout_id,
                    decision=decision,
                    reviewer_id=reviewer_id,
                    reason=reason,
                    decided_at=now,
                )
                .on_conflict_do_nothing()
                .returning(reviews.c.checkout_id)
            )
            if (await session.execute(written)).scalar_one_or_none() is None:
                query = select(reviews).where(reviews.c.checkout_id == checkout_id)
                standing = (await session.execute(query)).mappings().one()
                return Review(checkout_id, standing["decision"], standing["reviewer_id"], new=False)
            event = ManualReviewDecided(
                checkout_id=checkout_id,
                decision=decision,
                reviewer_id=reviewer_id,
                reason=reason,
                decided_at=now,
            )
            await self._outbox.append(
                session,
                event,
                source="/upstream/reviewers",
                version=1,
                subject=checkout_id,
                correlation_id=checkout_id,
                extensions={"flow": PAID},
                time=now,
            )
        return Review(checkout_id, decision, reviewer_id, new=True)
