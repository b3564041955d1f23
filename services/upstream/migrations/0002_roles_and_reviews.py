"""More roles than the floor and the carrier, and what reviewers have decided."""

from alembic import op

revision = "0002"
down_revision = "0001"

CHANGES = """
ALTER TABLE upstream.tasks DROP CONSTRAINT tasks_role_check;
COMMENT ON COLUMN upstream.tasks.order_id IS 'what it is about: an order, a checkout, a return, an item';

CREATE TABLE upstream.reviews (
    checkout_id text PRIMARY KEY,
    decision    text NOT NULL CHECK (decision IN ('approved', 'rejected')),
    reviewer_id text NOT NULL,
    reason      text,
    decided_at  timestamptz NOT NULL
);
COMMENT ON TABLE upstream.reviews IS 'decisions by hand, of `tidegate checkout decide`; the first one stands';
"""


def upgrade() -> None:
    """Let every role have tasks, and keep the reviews."""
    op.execute(CHANGES)
