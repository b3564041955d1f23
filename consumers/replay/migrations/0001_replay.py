"""What people replayed and redrove: one row a run, and the dead letters that were sent back."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_SCHEMA = """
CREATE TABLE replay.runs (
    run_id uuid PRIMARY KEY,
    command text NOT NULL CHECK (command IN ('replay', 'redrive')),
    actor text NOT NULL,
    topic text NOT NULL,
    selection jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('running', 'finished', 'stopped', 'failed')),
    records bigint NOT NULL DEFAULT 0,
    outcomes jsonb NOT NULL DEFAULT '{}',
    error text,
    started_at timestamptz NOT NULL DEFAULT now(),
    noted_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
COMMENT ON TABLE replay.runs IS 'Every executed replay and redrive: who, when, what was selected, what came of it.';
COMMENT ON COLUMN replay.runs.status IS
    'running also after a kill -9: noted_at then stands still, and the figures are those of that moment.';
CREATE INDEX runs_started_at ON replay.runs (started_at);

CREATE TABLE replay.redriven (
    topic text NOT NULL,
    partition integer NOT NULL,
    "offset" bigint NOT NULL,
    run_id uuid NOT NULL REFERENCES replay.runs,
    outcome text NOT NULL,
    redriven_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset", run_id)
);
COMMENT ON TABLE replay.redriven IS 'Dead letters that were sent back, by their place in the dead-letter topic.';
"""


def upgrade() -> None:
    """Make the two tables."""
    op.execute(_SCHEMA)


def downgrade() -> None:
    """Drop them, and with them the memory of what was redriven."""
    op.execute("DROP TABLE replay.redriven, replay.runs")
