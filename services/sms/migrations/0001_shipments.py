"""Shipments."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE sms.shipments (
    order_id        text PRIMARY KEY,
    shipment_id     text NOT NULL,
    state           text NOT NULL CHECK (state IN ('CREATED', 'LABELLED', 'CONFIRMED', 'CANCELLED')),
    flow            text NOT NULL CHECK (flow IN ('direct', 'paid')),
    version         bigint NOT NULL,
    carrier         text,
    tracking_number text,
    created_at      timestamptz NOT NULL,
    labelled_at     timestamptz,
    confirmed_at    timestamptz,
    cancelled_at    timestamptz
);
COMMENT ON COLUMN sms.shipments.version IS
    'the last ce_sequence published for the order by /services/sms; 0: cancelled before there was a shipment';
CREATE INDEX shipments_by_state ON sms.shipments (state, created_at);
"""


def upgrade() -> None:
    """Make the table of SMS."""
    op.execute(TABLES)
