"""Labels for parcels that come back."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = """
CREATE TABLE sms.return_labels (
    return_id       text PRIMARY KEY,
    order_id        text NOT NULL,
    state           text NOT NULL CHECK (state IN ('LABELLED', 'CANCELLED')),
    carrier         text,
    tracking_number text,
    made_at         timestamptz NOT NULL,
    cancelled_at    timestamptz,
    CHECK (state = 'CANCELLED' OR tracking_number IS NOT NULL)
);
COMMENT ON TABLE sms.return_labels IS 'one for each return; CANCELLED without a number: before there was a label';
"""


def upgrade() -> None:
    """Make the table of the labels."""
    op.execute(TABLES)
