"""The tables of reconciliation, as its operations see them (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text

metadata = MetaData(schema="reconciliation")

resumptions = Table(
    "resumptions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("since", DateTime(timezone=True), primary_key=True),
    Column("action", Text, nullable=False),
    Column("done_at", DateTime(timezone=True), nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("detail", Text, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
)

positions = Table(
    "positions",
    metadata,
    Column("kind", Text, primary_key=True),
    Column("after", Text, nullable=False),
)

event_counts = Table(
    "event_counts",
    metadata,
    Column("at", DateTime(timezone=True), primary_key=True),
    Column("newest", BigInteger, nullable=False),
)

cost_alerts = Table(
    "cost_alerts",
    metadata,
    Column("measure", Text, primary_key=True),
    Column("window_start", DateTime(timezone=True), primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("budget", BigInteger, nullable=False),
    Column("found_at", DateTime(timezone=True), nullable=False),
)
