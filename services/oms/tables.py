"""The tables of OMS, as its operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    Table,
    Text,
    Uuid,
)

metadata = MetaData(schema="oms")

submissions = Table(
    "submissions",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("flow", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("ordered_at", DateTime(timezone=True), nullable=False),
    Column("flow", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("shipment_id", Text),
    Column("failure_code", Text),
    Column("closing_reason", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("reserved_at", DateTime(timezone=True)),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("shipped_at", DateTime(timezone=True)),
    Column("delivered_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Numeric(18, 2), nullable=False),
    Column("discount", Numeric(5, 4), nullable=False),
    Column("net", Numeric(18, 2), nullable=False),
)

cancellations = Table(
    "cancellations",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("reason", Text),
    Column("answer", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("answered_at", DateTime(timezone=True)),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("withdrawn_at", DateTime(timezone=True), nullable=False),
)

notifications = Table(
    "notifications",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("key", Uuid, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("sent_at", DateTime(timezone=True), nullable=False),
)
