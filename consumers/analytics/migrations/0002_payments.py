"""What was taken for orders and given back."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

_TABLE = """
CREATE TABLE analytics.payments (
    booking_id text PRIMARY KEY,
    order_id text NOT NULL,
    currency text NOT NULL,
    amount numeric(30, 2) NOT NULL,
    booked_at timestamptz NOT NULL
);
CREATE INDEX payments_by_order ON analytics.payments (order_id);
COMMENT ON TABLE analytics.payments IS
    'Captures (positive) and refunds (negative), once each, folded from payments.payments.';

CREATE VIEW analytics.order_payments AS
SELECT order_id, currency,
       coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS captured,
       coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS refunded
FROM analytics.payments
GROUP BY order_id, currency;
COMMENT ON VIEW analytics.order_payments IS 'What an order has paid and got back.';
"""


def upgrade() -> None:
    """Make the table and the view."""
    op.execute(_TABLE)


def downgrade() -> None:
    """Drop them; the topic can make them again."""
    op.execute("DROP VIEW analytics.order_payments; DROP TABLE analytics.payments")
