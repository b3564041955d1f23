"""What was resumed, what people were told of, how far each scan is, and what running costs."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE reconciliation.resumptions (
    kind    text NOT NULL,
    subject text NOT NULL,
    since   timestamptz NOT NULL,
    action  text NOT NULL,
    done_at timestamptz NOT NULL,
    PRIMARY KEY (kind, subject, since)
);
COMMENT ON TABLE reconciliation.resumptions IS 'partial states that were resumed; done_at - since: how long they stood';
CREATE INDEX resumptions_done ON reconciliation.resumptions (done_at);

CREATE TABLE reconciliation.alerts (
    kind     text NOT NULL,
    subject  text NOT NULL,
    since    timestamptz NOT NULL,
    detail   text NOT NULL,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (kind, subject)
);
COMMENT ON TABLE reconciliation.alerts IS 'each ReconciliationAlert, once for a subject and kind';

CREATE TABLE reconciliation.positions (
    kind  text PRIMARY KEY,
    after text NOT NULL
);
COMMENT ON TABLE reconciliation.positions IS 'the subject after which the next run goes on';

CREATE TABLE reconciliation.event_counts (
    at     timestamptz PRIMARY KEY,
    newest bigint NOT NULL
);
COMMENT ON TABLE reconciliation.event_counts IS 'the number of the newest outbox row, at each look of the cost watch';

CREATE TABLE reconciliation.cost_alerts (
    measure      text NOT NULL,
    window_start timestamptz NOT NULL,
    value        bigint NOT NULL,
    budget       bigint NOT NULL,
    found_at     timestamptz NOT NULL,
    PRIMARY KEY (measure, window_start)
);
COMMENT ON TABLE reconciliation.cost_alerts IS 'each CostAlert, once for a measure and window';
"""


def upgrade() -> None:
    """Make the tables of reconciliation."""
    op.execute(TABLES)
