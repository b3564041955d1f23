"""More that people do to events, on record: edit, discard, release, drop, extend; and how far each run came."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COMMANDS = "'replay', 'redrive', 'edit', 'discard', 'release', 'drop', 'extend'"


def upgrade() -> None:
    """Allow the commands, and make room for the place that was reached."""
    op.execute(f"""
        ALTER TABLE replay.runs DROP CONSTRAINT runs_command_check;
        ALTER TABLE replay.runs ADD CONSTRAINT runs_command_check CHECK (command IN ({_COMMANDS}));
        ALTER TABLE replay.runs ADD COLUMN reached jsonb NOT NULL DEFAULT '{{}}';
        COMMENT ON COLUMN replay.runs.reached IS
            'The furthest offset that was handled, by "topic:partition"; some before it may not have been.';
        COMMENT ON TABLE replay.runs IS
            'Everything that people did to events: who, when, what was selected, what came of it.';
        COMMENT ON TABLE replay.redriven IS
            'Dead letters that are done with, by their place: sent back, edited (and sent back), discarded.';
    """)


def downgrade() -> None:
    """Forget the runs of the newer commands, and how far each came."""
    op.execute("""
        DELETE FROM replay.redriven USING replay.runs
        WHERE redriven.run_id = runs.run_id AND runs.command NOT IN ('replay', 'redrive');
        DELETE FROM replay.runs WHERE command NOT IN ('replay', 'redrive');
        ALTER TABLE replay.runs DROP COLUMN reached;
        ALTER TABLE replay.runs DROP CONSTRAINT runs_command_check;
        ALTER TABLE replay.runs ADD CONSTRAINT runs_command_check CHECK (command IN ('replay', 'redrive'));
    """)
