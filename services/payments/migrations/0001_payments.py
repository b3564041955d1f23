"""Payments, their refunds, and what the provider was asked."""

from alembic import op

revision = "0001"
down_revision = None

TABLES = """
CREATE TABLE payments.payments (
    order_id         text PRIMARY KEY,
    payment_id       text NOT NULL,
    state            text NOT NULL CHECK (state IN ('NEW', 'AUTHORIZED', 'CAPTURED', 'PARTIALLY_REFUNDED',
                                                    'REFUNDED', 'VOIDED', 'FAILED')),
    closing          boolean NOT NULL DEFAULT false,
    version          bigint NOT NULL,
    amount           numeric(18, 2) CHECK (amount >= 0),
    currency         text,
    payment_token    text,
    authorization_id text,
    captured         numeric(18, 2) NOT NULL DEFAULT 0 CHECK (captured >= 0 AND captured <= amount),
    refunded         numeric(18, 2) NOT NULL DEFAULT 0 CHECK (refunded >= 0 AND refunded <= captured),
    failure_code     text,
    failure_reason   text,
    requested_at     timestamptz NOT NULL,
    authorized_at    timestamptz,
    captured_at      timestamptz,
    voided_at        timestamptz,
    failed_at        timestamptz
);
COMMENT ON COLUMN payments.payments.version IS
    'the last ce_sequence published for the order by /services/payments; 0: nothing was published';
COMMENT ON COLUMN payments.payments.closing IS
    'it is being taken back: no authorisation or capture may begin any more';
COMMENT ON COLUMN payments.payments.amount IS
    'what is owed; null where the payment was voided before anybody asked for it';
CREATE INDEX payments_by_state ON payments.payments (state, requested_at);

CREATE TABLE payments.refunds (
    refund_id    text PRIMARY KEY,
    order_id     text NOT NULL REFERENCES payments.payments,
    amount       numeric(18, 2) NOT NULL CHECK (amount >= 0),
    state        text NOT NULL CHECK (state IN ('PENDING', 'DONE', 'REFUSED')),
    requested_at timestamptz NOT NULL,
    ended_at     timestamptz
);
CREATE INDEX refunds_by_order ON payments.refunds (order_id);

CREATE TABLE payments.attempts (
    attempt         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id        text NOT NULL REFERENCES payments.payments,
    operation       text NOT NULL CHECK (operation IN ('AUTHORIZE', 'CAPTURE', 'VOID', 'REFUND')),
    idempotency_key text NOT NULL,
    asked_at        timestamptz NOT NULL,
    answered_at     timestamptz,
    answer          text
);
COMMENT ON TABLE payments.attempts IS
    'each call of the provider, written before it is made; no answer: it is under way, or was lost';
CREATE INDEX attempts_by_order ON payments.attempts (order_id);
CREATE INDEX attempts_unanswered ON payments.attempts (asked_at) WHERE answered_at IS NULL;
"""


def upgrade() -> None:
    """Make the tables of payments."""
    op.execute(TABLES)
