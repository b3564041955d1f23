"""The tables of IMS, as its operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text

metadata = MetaData(schema="ims")

items = Table(
    "items",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("received", BigInteger, nullable=False),
    Column("on_hand", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("consumed", BigInteger, nullable=False),
    Column("awaited", BigInteger, nullable=False),
    Column("reorder_point", BigInteger, nullable=False),
    Column("below", Boolean, nullable=False),
    Column("cycle", Integer, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("discontinued", Boolean, nullable=False),
    Column("on_order", BigInteger, nullable=False),
    Column("settled", Boolean, nullable=False),
)

components = Table(
    "components",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("component", Text, primary_key=True),
    Column("quantity", Integer, nullable=False),
)

reservations = Table(
    "reservations",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("reservation_id", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("flow", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("waited", Boolean, nullable=False),
    Column("failure_code", Text),
    Column("failure_reason", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("changed_at", DateTime(timezone=True), nullable=False),
)

reservation_lines = Table(
    "reservation_lines",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("quantity", Integer, nullable=False),
)

receipts = Table(
    "receipts",
    metadata,
    Column("receipt_id", Text, primary_key=True),
    Column("sku", Text, nullable=False),
    Column("quantity", BigInteger, nullable=False),
    Column("received_at", DateTime(timezone=True), nullable=False),
)

replenishments = Table(
    "replenishments",
    metadata,
    Column("sku", Text, primary_key=True),
    Column("cycle", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("ordered", BigInteger, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("reminders", Integer, nullable=False),
    Column("decided_at", DateTime(timezone=True), nullable=False),
    Column("received_at", DateTime(timezone=True)),
)

loads = Table(
    "loads",
    metadata,
    Column("load_id", Text, primary_key=True),
    Column("items", Integer, nullable=False),
    Column("pieces", BigInteger, nullable=False),
    Column("loaded_at", DateTime(timezone=True), nullable=False),
)
