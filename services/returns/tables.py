"""The tables of the returns, as their operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Integer, MetaData, Numeric, Table, Text

metadata = MetaData(schema="returns")

orders = Table("orders", metadata, Column("order_id", Text, primary_key=True))

returns = Table(
    "returns",
    metadata,
    Column("return_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("reason_code", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("flow", Text),
    Column("currency", Text),
    Column("tracking_number", Text),
    Column("amount", Numeric(18, 2)),
    Column("refunded", Numeric(18, 2)),
    Column("code", Text),
    Column("closing_reason", Text),
    Column("requested_at", DateTime(timezone=True), nullable=False),
    Column("accepted_at", DateTime(timezone=True)),
    Column("approved_at", DateTime(timezone=True)),
    Column("inspected_at", DateTime(timezone=True)),
    Column("closed_at", DateTime(timezone=True)),
)

return_lines = Table(
    "return_lines",
    metadata,
    Column("return_id", Text, primary_key=True),
    Column("sku", Text, primary_key=True),
    Column("quantity", Integer, nullable=False),
    Column("restocked", Integer),
    Column("scrapped", Integer),
    Column("refused", Integer),
)

reminders = Table(
    "reminders",
    metadata,
    Column("return_id", Text, primary_key=True),
    Column("about", Text, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("sent_at", DateTime(timezone=True), nullable=False),
)
