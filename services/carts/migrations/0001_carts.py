"""Carts that were bought or given up, and the lines of those that were bought."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE carts.carts (
    cart_id     text PRIMARY KEY,
    customer_id text NOT NULL,
    currency    text NOT NULL,
    state       text NOT NULL CHECK (state IN ('CHECKED_OUT', 'ABANDONED')),
    version     bigint NOT NULL,
    pieces      bigint NOT NULL CHECK (pieces >= 0),
    checkout_id text,
    order_id    text,
    closed_at   timestamptz NOT NULL,
    CHECK ((state = 'CHECKED_OUT') = (checkout_id IS NOT NULL AND order_id IS NOT NULL))
);
COMMENT ON TABLE carts.carts IS 'A row when a cart has ended; until then its workflow holds it';
COMMENT ON COLUMN carts.carts.version IS 'the last ce_sequence published for the cart by /services/carts';
CREATE INDEX carts_by_state ON carts.carts (state, closed_at);

CREATE TABLE carts.cart_lines (
    cart_id    text NOT NULL REFERENCES carts.carts,
    line       int NOT NULL,
    sku        text NOT NULL,
    quantity   int NOT NULL CHECK (quantity > 0),
    unit_price numeric(18, 2) NOT NULL CHECK (unit_price >= 0),
    discount   numeric(5, 4) NOT NULL CHECK (discount BETWEEN 0 AND 1),
    PRIMARY KEY (cart_id, line)
);
"""


def upgrade() -> None:
    """Make the tables of the carts."""
    op.execute(TABLES)
