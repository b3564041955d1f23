"""Paid orders that were given up before they were made."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLE = """
CREATE TABLE oms.withdrawals (
    order_id     text PRIMARY KEY,
    withdrawn_at timestamptz NOT NULL
);
COMMENT ON TABLE oms.withdrawals IS 'a checkout gave the order up before it was made: it is never made as a paid one';
"""


def upgrade() -> None:
    """Make the table of withdrawals."""
    op.execute(TABLE)
