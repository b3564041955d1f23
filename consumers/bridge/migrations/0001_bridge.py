"""The ledger of deliveries and the events that wait for their workflow."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = """
CREATE TABLE bridge.ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    key text,
    route text NOT NULL,
    workflow_id text,
    outcome text NOT NULL,
    reason text,
    origin text NOT NULL,
    delivery integer NOT NULL,
    at timestamptz NOT NULL
);
COMMENT ON TABLE bridge.ledger IS
    'What became of each event on each route; written before the offset is committed.';
COMMENT ON COLUMN bridge.ledger.route IS
    'Name of the route; empty for a record that was bad before one could be chosen.';
COMMENT ON COLUMN bridge.ledger.delivery IS 'The how-manieth entry of this event on this route: 1, 2, ...';
COMMENT ON COLUMN bridge.ledger.origin IS 'live, parked, replay or redrive: where the record was read from.';

CREATE INDEX ledger_by_event ON bridge.ledger (event_id, route);
CREATE INDEX ledger_by_workflow ON bridge.ledger (workflow_id, id);

CREATE TABLE bridge.parked (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id uuid NOT NULL,
    event_type text NOT NULL,
    route text NOT NULL,
    workflow_id text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    timestamp_ms bigint NOT NULL,
    key bytea,
    value bytea,
    header_names text[] NOT NULL,
    header_values bytea[] NOT NULL,
    origin text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    deadline timestamptz NOT NULL,
    UNIQUE (event_id, route)
);
COMMENT ON TABLE bridge.parked IS
    'Records whose workflow does not exist yet, as they were read; delivered in the order of id.';

CREATE INDEX parked_by_workflow ON bridge.parked (workflow_id, id);
"""


def upgrade() -> None:
    """Make the tables."""
    op.execute(_SCHEMA)


def downgrade() -> None:
    """Drop the tables, and with them the memory of what was delivered."""
    op.execute("DROP TABLE bridge.parked; DROP TABLE bridge.ledger;")
