"""Submissions, orders, their lines, and requests to cancel them."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE oms.submissions (
    order_id    text PRIMARY KEY,
    request_id  text NOT NULL UNIQUE,
    flow        text NOT NULL,
    version     bigint NOT NULL,
    reasons     text[] NOT NULL,
    recorded_at timestamptz NOT NULL
);
COMMENT ON TABLE oms.submissions IS 'What ValidateOrder found; no reasons: the submission is accepted';

CREATE TABLE oms.orders (
    order_id       text PRIMARY KEY,
    request_id     text NOT NULL UNIQUE,
    customer_id    text NOT NULL,
    currency       text NOT NULL,
    ordered_at     timestamptz NOT NULL,
    flow           text NOT NULL CHECK (flow IN ('direct', 'paid')),
    state          text NOT NULL CHECK (state IN
                   ('CREATED', 'RESERVED', 'CONFIRMED', 'SHIPPED', 'DELIVERED', 'FAILED', 'CANCELLED')),
    version        bigint NOT NULL,
    shipment_id    text,
    failure_code   text,
    closing_reason text,
    created_at     timestamptz NOT NULL,
    reserved_at    timestamptz,
    confirmed_at   timestamptz,
    shipped_at     timestamptz,
    delivered_at   timestamptz,
    closed_at      timestamptz
);
COMMENT ON COLUMN oms.orders.version IS 'the last ce_sequence published for the order by /services/oms';
CREATE INDEX orders_by_state ON oms.orders (state, created_at);

CREATE TABLE oms.order_lines (
    order_id   text NOT NULL REFERENCES oms.orders,
    line       int NOT NULL,
    sku        text NOT NULL,
    quantity   int NOT NULL CHECK (quantity > 0),
    unit_price numeric(18, 2) NOT NULL CHECK (unit_price >= 0),
    discount   numeric(5, 4) NOT NULL CHECK (discount BETWEEN 0 AND 1),
    net        numeric(18, 2) NOT NULL,
    PRIMARY KEY (order_id, line)
);

CREATE TABLE oms.cancellations (
    order_id     text PRIMARY KEY REFERENCES oms.orders,
    status       text NOT NULL CHECK (status IN ('REQUESTED', 'REFUSED', 'CANCELLED')),
    requested_by text NOT NULL,
    reason       text,
    answer       text,
    requested_at timestamptz NOT NULL,
    answered_at  timestamptz
);
"""


def upgrade() -> None:
    """Make the tables of OMS."""
    op.execute(TABLES)
