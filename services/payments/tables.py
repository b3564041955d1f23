"""The tables of payments, as its operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Identity, MetaData, Numeric, Table, Text

metadata = MetaData(schema="payments")

_MONEY = Numeric(18, 2)

payments = Table(
    "payments",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("payment_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("closing", Boolean, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("amount", _MONEY),
    Column("currency", Text),
    Column("payment_token", Text),
    Column("authorization_id", Text),
    Column("captured", _MONEY, nullable=False),
    Column("refunded", _MONEY, nullable=False),
    Column("failure_code", Text),
    Column("failure_reason", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("authorized_at", DateTime(timezone=True)),
    Column("captured_at", DateTime(timezone=True)),
    Column("voided_at", DateTime(timezone=True)),
    Column("failed_at", DateTime(timezone=True)),
)

refunds = Table(
    "refunds",
    metadata,
    Column("refund_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("amount", _MONEY, nullable=False),
    Column("state", Text, nullable=False),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True)),
)

attempts = Table(
    "attempts",
    metadata,
    Column("attempt", BigInteger, Identity(), primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("asked_at", DateTime(timezone=True), nullable=False),
    Column("answered_at", DateTime(timezone=True)),
    Column("answer", Text),
)
