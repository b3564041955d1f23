"""Items, bills of materials, reservations, and what came in."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE ims.items (
    sku           text PRIMARY KEY,
    received      bigint NOT NULL DEFAULT 0,
    on_hand       bigint NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
    reserved      bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    consumed      bigint NOT NULL DEFAULT 0 CHECK (consumed >= 0),
    awaited       bigint NOT NULL DEFAULT 0 CHECK (awaited >= 0),
    reorder_point bigint NOT NULL DEFAULT 0 CHECK (reorder_point >= 0),
    below         boolean NOT NULL DEFAULT false,
    cycle         int NOT NULL DEFAULT 0,
    version       bigint NOT NULL DEFAULT 0,
    discontinued  boolean NOT NULL DEFAULT false,
    CONSTRAINT stock_adds_up CHECK (received = on_hand + reserved + consumed)
);
COMMENT ON COLUMN ims.items.on_hand IS 'pieces on the shelf, without those that are reserved';
COMMENT ON COLUMN ims.items.version IS 'the last ce_sequence published for the sku by /services/ims';

CREATE TABLE ims.components (
    sku       text NOT NULL REFERENCES ims.items,
    component text NOT NULL REFERENCES ims.items,
    quantity  int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (sku, component)
);

CREATE TABLE ims.reservations (
    order_id       text PRIMARY KEY,
    reservation_id text NOT NULL,
    position       bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    state          text NOT NULL CHECK (state IN
                   ('WAITING', 'RESERVED', 'CONSUMED', 'RELEASED', 'RETURNED', 'FAILED')),
    flow           text NOT NULL CHECK (flow IN ('direct', 'paid')),
    version        bigint NOT NULL,
    waited         boolean NOT NULL DEFAULT false,
    failure_code   text,
    failure_reason text,
    requested_at   timestamptz NOT NULL,
    changed_at     timestamptz NOT NULL
);
COMMENT ON COLUMN ims.reservations.position IS 'place in the queue; drawn while the items are locked';
COMMENT ON COLUMN ims.reservations.version IS 'the last ce_sequence published for the order by /services/ims';
CREATE INDEX reservations_waiting ON ims.reservations (position) WHERE state = 'WAITING';
CREATE INDEX reservations_by_state ON ims.reservations (state, requested_at);

CREATE TABLE ims.reservation_lines (
    order_id text NOT NULL REFERENCES ims.reservations,
    sku      text NOT NULL REFERENCES ims.items,
    quantity int NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, sku)
);
COMMENT ON TABLE ims.reservation_lines IS 'the parts of an order, after expansion of its kits; never changed';

CREATE TABLE ims.receipts (
    receipt_id  text PRIMARY KEY,
    sku         text NOT NULL REFERENCES ims.items,
    quantity    bigint NOT NULL CHECK (quantity > 0),
    received_at timestamptz NOT NULL
);

CREATE TABLE ims.loads (
    load_id   text PRIMARY KEY,
    items     int NOT NULL,
    pieces    bigint NOT NULL,
    loaded_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    """Make the tables of IMS."""
    op.execute(TABLES)
