"""The books of the simulated payment provider."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE provider.authorizations (
    authorization_id text PRIMARY KEY,
    reference        text NOT NULL,
    amount           numeric(18, 2) NOT NULL,
    currency         text NOT NULL,
    payment_token    text NOT NULL,
    state            text NOT NULL CHECK (state IN ('authorized', 'captured', 'voided')),
    captured         numeric(18, 2) NOT NULL DEFAULT 0,
    refunded         numeric(18, 2) NOT NULL DEFAULT 0 CHECK (refunded <= captured),
    refunds          integer NOT NULL DEFAULT 0,
    authorized_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX authorizations_by_reference ON provider.authorizations (reference);

CREATE TABLE provider.answers (
    idempotency_key text PRIMARY KEY,
    request         text NOT NULL,
    status          integer,
    body            text,
    answered_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE provider.answers IS 'what was answered under each idempotency key, in the transaction that did it';
"""


def upgrade() -> None:
    """Make the tables of the provider."""
    op.execute(TABLES)
