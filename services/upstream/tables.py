"""The tables of the simulated upstream systems (made by ``migrations/``)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, LargeBinary, MetaData, Table, Text

metadata = MetaData(schema="upstream")

submissions = Table(
    "submissions",
    metadata,
    Column("request_id", Text, primary_key=True),
    Column("order_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("submitted_at", DateTime(timezone=True), nullable=False),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("role", Text, nullable=False),
    Column("order_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("occurrence", Text, nullable=False),
    Column("reference", Text),
    Column("flow", Text, nullable=False),
    Column("causation_id", Text),
    Column("due_at", DateTime(timezone=True), nullable=False),
    Column("done_at", DateTime(timezone=True)),
    Column("sequence", BigInteger),
)

reports = Table(
    "reports",
    metadata,
    Column("role", Text, primary_key=True),
    Column("order_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)

reviews = Table(
    "reviews",
    metadata,
    Column("checkout_id", Text, primary_key=True),
    Column("decision", Text, nullable=False),
    Column("reviewer_id", Text, nullable=False),
    Column("reason", Text),
    Column("decided_at", DateTime(timezone=True), nullable=False),
)
