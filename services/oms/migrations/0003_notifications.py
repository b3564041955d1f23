"""What customers were told, by the local adapter of the notifier."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLE = """
CREATE TABLE oms.notifications (
    order_id    text NOT NULL,
    kind        text NOT NULL,
    key         uuid NOT NULL UNIQUE,
    customer_id text NOT NULL,
    sent_at     timestamptz NOT NULL,
    PRIMARY KEY (order_id, kind)
);
COMMENT ON TABLE oms.notifications IS 'one row for each order and kind of notification; references only';
"""


def upgrade() -> None:
    """Make the table of notifications."""
    op.execute(TABLE)
