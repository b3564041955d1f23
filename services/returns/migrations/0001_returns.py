"""Returns, what is to come back and what did, and the reminders that were sent."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE returns.orders (order_id text PRIMARY KEY);
COMMENT ON TABLE returns.orders IS
    'orders that something may come back from; whoever counts the returned pieces of one locks its row first';

CREATE TABLE returns.returns (
    return_id       text PRIMARY KEY,
    order_id        text NOT NULL REFERENCES returns.orders,
    reason_code     text NOT NULL,
    state           text NOT NULL CHECK (state IN
                    ('REQUESTED', 'ACCEPTED', 'APPROVED', 'INSPECTED', 'COMPLETED', 'REJECTED')),
    version         bigint NOT NULL,
    flow            text CHECK (flow IN ('direct', 'paid')),
    currency        text,
    tracking_number text,
    amount          numeric(18, 2) CHECK (amount >= 0),
    refunded        numeric(18, 2) CHECK (refunded BETWEEN 0 AND amount),
    code            text,
    closing_reason  text,
    requested_at    timestamptz NOT NULL,
    accepted_at     timestamptz,
    approved_at     timestamptz,
    inspected_at    timestamptz,
    closed_at       timestamptz
);
COMMENT ON COLUMN returns.returns.version IS 'the last ce_sequence published for the return by /services/returns';
COMMENT ON COLUMN returns.returns.amount IS 'what is owed for the pieces that were accepted';
CREATE INDEX returns_by_order ON returns.returns (order_id);
CREATE INDEX returns_by_state ON returns.returns (state, requested_at);

CREATE TABLE returns.return_lines (
    return_id text NOT NULL REFERENCES returns.returns,
    sku       text NOT NULL,
    quantity  int NOT NULL CHECK (quantity > 0),
    restocked int CHECK (restocked >= 0),
    scrapped  int CHECK (scrapped >= 0),
    refused   int CHECK (refused >= 0),
    PRIMARY KEY (return_id, sku),
    CHECK (restocked + scrapped + refused <= quantity)
);
COMMENT ON TABLE returns.return_lines IS 'what was announced, and once it is inspected what came';

CREATE TABLE returns.reminders (
    return_id text NOT NULL REFERENCES returns.returns,
    about     text NOT NULL CHECK (about IN ('PARCEL', 'INSPECTION')),
    number    int NOT NULL CHECK (number > 0),
    sent_at   timestamptz NOT NULL,
    PRIMARY KEY (return_id, about, number)
);
"""


def upgrade() -> None:
    """Make the tables of the returns."""
    op.execute(TABLES)
