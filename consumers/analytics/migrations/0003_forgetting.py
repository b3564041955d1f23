"""Finding the event ids that were seen long ago: they stand in the table in the order of time."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index: a few pages, whatever the table holds."""
    op.execute("CREATE INDEX seen_events_seen_at ON analytics.seen_events USING brin (seen_at)")


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP INDEX analytics.seen_events_seen_at")
