"""What the storefront has submitted, and what floor and carrier mean to do."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE upstream.submissions (
    request_id   text PRIMARY KEY,
    order_id     text NOT NULL,
    digest       bytea NOT NULL,
    submitted_at timestamptz NOT NULL
);
COMMENT ON COLUMN upstream.submissions.digest IS 'of customer, currency and lines';

CREATE TABLE upstream.tasks (
    id           bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    role         text NOT NULL CHECK (role IN ('floor', 'carrier')),
    order_id     text NOT NULL,
    kind         text NOT NULL,
    occurrence   text NOT NULL CHECK (occurrence IN ('first', 'again', 'renamed')),
    reference    text,
    flow         text NOT NULL,
    causation_id text,
    due_at       timestamptz NOT NULL,
    done_at      timestamptz,
    sequence     bigint,
    UNIQUE (role, order_id, kind, occurrence)
);
COMMENT ON COLUMN upstream.tasks.sequence IS 'of its event; none where it was called off';
CREATE INDEX tasks_due ON upstream.tasks (role, due_at, id) WHERE done_at IS NULL;

CREATE TABLE upstream.reports (
    role    text NOT NULL,
    order_id text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (role, order_id)
);
COMMENT ON TABLE upstream.reports IS 'the last ce_sequence published about an order by each role';
"""


def upgrade() -> None:
    """Make the tables of the simulated upstream systems."""
    op.execute(TABLES)
