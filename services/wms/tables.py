"""The tables of WMS, as its operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Table, Text

metadata = MetaData(schema="wms")

waves = Table(
    "waves",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("wave_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("flow", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("cancelled_at", DateTime(timezone=True)),
)

picks = Table(
    "picks",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("quantity", Integer, nullable=False),
)
