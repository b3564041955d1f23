"""Finding the entries of long ago: they stand in the ledger in the order of time."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index: a few pages, whatever the table holds."""
    op.execute("CREATE INDEX ledger_at ON bridge.ledger USING brin (at)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX bridge.ledger_at")
