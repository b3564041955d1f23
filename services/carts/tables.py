"""The tables of the carts, as their operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Numeric, Table, Text

metadata = MetaData(schema="carts")

carts = Table(
    "carts",
    metadata,
    Column("cart_id", Text, primary_key=True),
    Column("customer_id", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("pieces", BigInteger, nullable=False),
    Column("checkout_id", Text),
    Column("order_id", Text),
    Column("closed_at", DateTime(timezone=True), nullable=False),
)

cart_lines = Table(
    "cart_lines",
    metadata,
    Column("cart_id", Text, primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("unit_price", Numeric(18, 2), nullable=False),
    Column("discount", Numeric(5, 4), nullable=False),
)
