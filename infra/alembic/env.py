"""Run by alembic for each room: one transaction, one schema, one lock."""

from __future__ import annotations

from alembic import context
from sqlalchemy import create_engine, make_url, pool, text
from sqlalchemy.sql import quoted_name

_LOCK = 0x7469646567617465  # "tidegate": migrations of one database run one at a time


def run() -> None:
    """Upgrade the schema that the runner named."""
    attributes = context.config.attributes
    url = make_url(attributes["dsn"]).set(drivername="postgresql+psycopg")
    schema = quoted_name(attributes["schema"], quote=True)
    engine = create_engine(url, poolclass=pool.NullPool, connect_args=dict(attributes["options"]))
    with engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))
        context.configure(connection=connection, version_table_schema=schema, target_metadata=None)
        context.run_migrations()
    engine.dispose()


run()
