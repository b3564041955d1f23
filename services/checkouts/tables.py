"""The tables of the checkouts, as their operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import ARRAY, BigInteger, Boolean, Column, DateTime, Integer, MetaData, Numeric, Table, Text

metadata = MetaData(schema="checkouts")

checkouts = Table(
    "checkouts",
    metadata,
    Column("checkout_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("holds_order", Boolean, nullable=False),
    Column("request_id", Text),
    Column("customer_id", Text),
    Column("currency", Text),
    Column("amount", Numeric(18, 2)),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("reasons", ARRAY(Text), nullable=False),
    Column("code", Text),
    Column("closing_reason", Text),
    Column("waited_for", Text),
    Column("requested_at", DateTime(timezone=True)),
    Column("recorded_at", DateTime(timezone=True), nullable=False),
    Column("fraud_check_requested_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
)

checkout_lines = Table(
    "checkout_lines",
    metadata,
    Column("checkout_id", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Numeric(18, 2), nullable=False),
    Column("discount", Numeric(5, 4), nullable=False),
    Column("net", Numeric(18, 2), nullable=False),
)
