"""Pick waves and what to pick in them."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE wms.waves (
    order_id     text PRIMARY KEY,
    wave_id      text NOT NULL,
    state        text NOT NULL CHECK (state IN ('CREATED', 'CANCELLED')),
    flow         text NOT NULL CHECK (flow IN ('direct', 'paid')),
    version      bigint NOT NULL,
    created_at   timestamptz NOT NULL,
    cancelled_at timestamptz
);
COMMENT ON COLUMN wms.waves.version IS
    'the last ce_sequence published for the order by /services/wms; 0: cancelled before there was a wave';
CREATE INDEX waves_by_state ON wms.waves (state, created_at);

CREATE TABLE wms.picks (
    order_id text NOT NULL REFERENCES wms.waves,
    sku      text NOT NULL,
    quantity int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
);
"""


def upgrade() -> None:
    """Make the tables of WMS."""
    op.execute(TABLES)
