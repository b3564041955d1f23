"""Checkouts and their lines."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE checkouts.checkouts (
    checkout_id              text PRIMARY KEY,
    order_id                 text NOT NULL,
    holds_order              boolean NOT NULL,
    request_id               text,
    customer_id              text,
    currency                 text,
    amount                   numeric(18, 2),
    state                    text NOT NULL CHECK (state IN
                             ('VALIDATED', 'INVALID', 'AWAITING_DECISION', 'COMPLETED', 'REJECTED', 'EXPIRED')),
    version                  bigint NOT NULL,
    reasons                  text[] NOT NULL,
    code                     text,
    closing_reason           text,
    waited_for               text,
    requested_at             timestamptz,
    recorded_at              timestamptz NOT NULL,
    fraud_check_requested_at timestamptz,
    closed_at                timestamptz,
    CHECK (NOT holds_order OR (request_id IS NOT NULL AND customer_id IS NOT NULL
                               AND currency IS NOT NULL AND amount IS NOT NULL))
);
COMMENT ON COLUMN checkouts.checkouts.holds_order IS
    'whether the order is this checkout''s to pay for, to create and to give up; at most one checkout''s';
COMMENT ON COLUMN checkouts.checkouts.version IS
    'the last ce_sequence published for the checkout by /services/checkouts';
COMMENT ON COLUMN checkouts.checkouts.amount IS 'what is to be paid; none where the checkout was never validated';
CREATE UNIQUE INDEX one_checkout_for_an_order ON checkouts.checkouts (order_id) WHERE holds_order;
CREATE INDEX checkouts_by_state ON checkouts.checkouts (state, recorded_at);

CREATE TABLE checkouts.checkout_lines (
    checkout_id text NOT NULL REFERENCES checkouts.checkouts,
    line        int NOT NULL,
    sku         text NOT NULL,
    quantity    int NOT NULL CHECK (quantity > 0),
    unit_price  numeric(18, 2) NOT NULL CHECK (unit_price >= 0),
    discount    numeric(5, 4) NOT NULL CHECK (discount BETWEEN 0 AND 1),
    net         numeric(18, 2) NOT NULL,
    PRIMARY KEY (checkout_id, line)
);
"""


def upgrade() -> None:
    """Make the tables of the checkouts."""
    op.execute(TABLES)
