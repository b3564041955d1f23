"""New stock from the supplier: what is on order, and the replenishment of each cycle."""

from alembic import op

revision = "0002"
down_revision = "0001"

CHANGES = """
ALTER TABLE ims.items
    ADD COLUMN on_order bigint NOT NULL DEFAULT 0 CHECK (on_order >= 0),
    ADD COLUMN settled  boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN ims.items.on_order IS 'pieces ordered from the supplier that have not come in';
COMMENT ON COLUMN ims.items.settled IS 'the replenishment of the cycle has come to its end';

CREATE TABLE ims.replenishments (
    sku         text NOT NULL REFERENCES ims.items,
    cycle       int NOT NULL,
    state       text NOT NULL CHECK (state IN ('ORDERED', 'RECEIVED', 'NOT_NEEDED')),
    ordered     bigint NOT NULL CHECK (ordered >= 0),
    received    bigint NOT NULL DEFAULT 0 CHECK (received >= 0),
    reminders   int NOT NULL DEFAULT 0,
    decided_at  timestamptz NOT NULL,
    received_at timestamptz,
    PRIMARY KEY (sku, cycle)
);
COMMENT ON COLUMN ims.replenishments.ordered IS 'pieces of the lot; 0 where none was needed';
CREATE INDEX replenishments_open ON ims.replenishments (decided_at) WHERE state = 'ORDERED';
CREATE INDEX reservation_lines_by_sku ON ims.reservation_lines (sku);
"""


def upgrade() -> None:
    """Add what a replenishment is remembered by."""
    op.execute(CHANGES)
