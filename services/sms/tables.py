"""The tables of SMS, as its operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text

metadata = MetaData(schema="sms")

shipments = Table(
    "shipments",
    metadata,
    Column("order_id", Text, primary_key=True),
    Column("shipment_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("flow", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("carrier", Text),
    Column("tracking_number", Text),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("labelled_at", DateTime(timezone=True)),
    Column("confirmed_at", DateTime(timezone=True)),
    Column("cancelled_at", DateTime(timezone=True)),
)

return_labels = Table(
    "return_labels",
    metadata,
    Column("return_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("carrier", Text),
    Column("tracking_number", Text),
    Column("made_at", DateTime(timezone=True), nullable=False),
    Column("cancelled_at", DateTime(timezone=True)),
)
