"""The provider's books: what it holds, took and gave back, and what it answered under each idempotency key."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    RowMapping,
    Table,
    Text,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from services.upstream.provider.faults import Chance

_metadata = MetaData(schema="provider")

authorizations: Final = Table(
    "authorizations",
    _metadata,
    Column("authorization_id", Text, primary_key=True),
    Column("reference", Text, nullable=False),
    Column("amount", Numeric(18, 2), nullable=False),
    Column("currency", Text, nullable=False),
    Column("payment_token", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("captured", Numeric(18, 2), nullable=False),
    Column("refunded", Numeric(18, 2), nullable=False),
    Column("refunds", Integer, nullable=False),
    Column("authorized_at", DateTime(timezone=True), nullable=False),
)

answers: Final = Table(
    "answers",
    _metadata,
    Column("idempotency_key", Text, primary_key=True),
    Column("request", Text, nullable=False),
    Column("status", Integer),
    Column("body", Text),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a document."""

    status: int
    body: dict[str, Any]

    @classmethod
    def no(cls, status: int, code: str, message: str) -> Answer:
        """A refusal."""
        return cls(status, {"code": code, "message": message})


@dataclass(frozen=True, slots=True)
class BooksView:
    """One authorisation in the books; ``state`` is ``authorized``, ``captured`` or ``voided``."""

    authorization_id: str
    reference: str
    amount: Decimal
    currency: str
    state: str
    captured: Decimal
    refunded: Decimal
    refunds: int


Work = Callable[[AsyncSession], Awaitable[Answer]]


class Books:
    """The books in the database behind ``sessions``. Each request is one transaction, with its answer in it."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession]) -> None:
        self._sessions = sessions

    async def once(self, key: str | None, request: str, work: Work) -> Answer:
        """Do ``work`` under ``key``, or give the answer that it had; another request under the key is refused.

        Without a key the work is done again each time: that is what keys are for.
        """
        async with self._sessions.begin() as session:
            if key is None:
                return await work(session)
            first = (
                upsert(answers)
                .values(idempotency_key=key, request=request)
                .on_conflict_do_nothing()
                .returning(answers.c.idempotency_key)
            )
            if (await session.execute(first)).scalar_one_or_none() is None:
                return await _earlier(session, key, request)
            answer = await work(session)
            await session.execute(
                update(answers)
                .where(answers.c.idempotency_key == key)
                .values(status=answer.status, body=json.dumps(answer.body))
            )
            return answer

    async def find(self, authorization_id: str) -> RowMapping | None:
        """The authorisation, or ``None``."""
        async with self._sessions() as session:
            return await _find(session, authorization_id)

    async def view(self, reference: str | None = None) -> list[BooksView]:
        """Every authorisation, or those of one reference, oldest first."""
        query = select(authorizations).order_by(
            authorizations.c.authorized_at, authorizations.c.authorization_id
        )
        if reference is not None:
            query = query.where(authorizations.c.reference == reference)
        async with self._sessions() as session:
            rows = (await session.execute(query)).mappings().all()
        return [
            BooksView(
                row["authorization_id"],
                row["reference"],
                row["amount"],
                row["currency"],
                row["state"],
                row["captured"],
                row["refunded"],
                row["refunds"],
            )
            for row in rows
        ]


async def authorize(
    session: AsyncSession, chance: Chance, reference: str, amount: Decimal, currency: str, token: str
) -> Answer:
    """Hold ``amount``. Each call holds it anew: only the idempotency key knows that it was the same wish."""
    if code := chance.refusal(reference, token):
        return Answer.no(402, code, f"payment {reference}: {code.replace('_', ' ')}")
    authorization_id = f"auth_{uuid4().hex}"
    await session.execute(
        insert(authorizations).values(
            authorization_id=authorization_id,
            reference=reference,
            amount=amount,
            currency=currency,
            payment_token=token,
            state="authorized",
        )
    )
    return Answer(201, {"authorization_id": authorization_id})


async def capture(session: AsyncSession, chance: Chance, authorization_id: str, amount: Decimal) -> Answer:
    """Take what is held."""
    row = await _find(session, authorization_id, lock=True)
    if row is None:
        return _unknown(authorization_id)
    if row["state"] != "authorized":
        return Answer.no(409, row["state"], f"authorisation {authorization_id} is {row['state']} already")
    if chance.capture_fails(row["reference"], row["payment_token"]):
        return Answer.no(402, "insufficient_funds", f"payment {row['reference']}: insufficient funds")
    if amount != row["amount"]:
        return Answer.no(400, "wrong_amount", f"authorisation {authorization_id} is over {row['amount']}")
    await _change(session, authorization_id, state="captured", captured=amount)
    return Answer(200, {})


async def void(session: AsyncSession, authorization_id: str) -> Answer:
    """Free what is held."""
    row = await _find(session, authorization_id, lock=True)
    if row is None:
        return _unknown(authorization_id)
    if row["state"] == "captured":
        return Answer.no(409, "captured", f"authorisation {authorization_id} is captured already")
    await _change(session, authorization_id, state="voided")
    return Answer(200, {})


async def refund(session: AsyncSession, authorization_id: str, amount: Decimal) -> Answer:
    """Give ``amount`` back. Each call gives it anew, up to what was taken."""
    row = await _find(session, authorization_id, lock=True)
    if row is None:
        return _unknown(authorization_id)
    if amount <= 0 or row["refunded"] + amount > row["captured"]:
        left = row["captured"] - row["refunded"]
        return Answer.no(422, "refund_too_large", f"authorisation {authorization_id}: {left} is left")
    await _change(session, authorization_id, refunded=row["refunded"] + amount, refunds=row["refunds"] + 1)
    return Answer(201, {})


async def _earlier(session: AsyncSession, key: str, request: str) -> Answer:
    query = select(answers).where(answers.c.idempotency_key == key)
    earlier = (await session.execute(query)).mappings().one()
    if earlier["request"] != request:
        return Answer.no(400, "key_reused", f"idempotency key {key} was used for another request")
    return Answer(earlier["status"], json.loads(earlier["body"]))


async def _find(session: AsyncSession, authorization_id: str, *, lock: bool = False) -> RowMapping | None:
    query = select(authorizations).where(authorizations.c.authorization_id == authorization_id)
    found = await session.execute(query.with_for_update() if lock else query)
    return found.mappings().one_or_none()


async def _change(session: AsyncSession, authorization_id: str, **values: Any) -> None:
    await session.execute(
        update(authorizations).where(authorizations.c.authorization_id == authorization_id).values(**values)
    )


def _unknown(authorization_id: str) -> Answer:
    return Answer.no(404, "unknown", f"there is no authorisation {authorization_id}")
