"""The read models of the order topics: facts of each order, revenue by day, and what they were made from."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = """
CREATE TABLE analytics.seen_events (
    event_id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE analytics.seen_events IS
    'Event ids (ce_id) already folded into the facts, written in the same transaction as the facts.';

CREATE TABLE analytics.order_facts (
    order_id text PRIMARY KEY,
    request_id text,
    customer_id text,
    currency text,
    gross numeric(30, 2),
    net numeric(30, 2),
    ordered_at timestamptz,
    submitted_at timestamptz,
    submission_id uuid,
    rejected_at timestamptz,
    created_at timestamptz,
    reserved_at timestamptz,
    confirmed_at timestamptz,
    shipped_at timestamptz,
    delivered_at timestamptz,
    failed_at timestamptz,
    failure_code text,
    cancel_requested_at timestamptz,
    cancelled_at timestamptz,
    state text,
    state_sequence bigint NOT NULL DEFAULT -2,
    lead_time interval GENERATED ALWAYS AS (shipped_at - submitted_at) STORED,
    updated_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 60);
CREATE INDEX order_facts_shipped_at ON analytics.order_facts (shipped_at) WHERE shipped_at IS NOT NULL;
CREATE INDEX order_facts_submitted_at ON analytics.order_facts (submitted_at);
COMMENT ON TABLE analytics.order_facts IS
    'One row an order, folded from oms.orders; NULL is what no event has told yet.';
COMMENT ON COLUMN analytics.order_facts.gross IS 'Sum of quantity x unit price, in the order''s currency.';
COMMENT ON COLUMN analytics.order_facts.net IS 'Sum of the lines less their discount, each rounded half-even.';
COMMENT ON COLUMN analytics.order_facts.submitted_at IS 'Time of the OrderSubmitted event (ce_time).';
COMMENT ON COLUMN analytics.order_facts.state_sequence IS
    'Version of the order that told the state; -1 where the producer sent none, -2 before any.';

CREATE TABLE analytics.revenue_by_day (
    day date NOT NULL,
    currency text NOT NULL,
    orders bigint NOT NULL,
    gross numeric(34, 2) NOT NULL,
    net numeric(34, 2) NOT NULL,
    PRIMARY KEY (day, currency)
);
COMMENT ON TABLE analytics.revenue_by_day IS 'Worth of the orders shipped on a UTC day.';

CREATE TABLE analytics.dead_letters (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key bytea,
    value bytea,
    reason text NOT NULL,
    noticed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
);
COMMENT ON TABLE analytics.dead_letters IS 'Records that this application could not read; the bytes unchanged.';
"""


def upgrade() -> None:
    """Make the four tables."""
    op.execute(_SCHEMA)


def downgrade() -> None:
    """Drop them; the topics can make them again."""
    op.execute(
        "DROP TABLE analytics.seen_events, analytics.order_facts, analytics.revenue_by_day, analytics.dead_letters"
    )
