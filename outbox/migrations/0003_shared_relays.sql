-- Several relays share the groups, and windows have names. See docs/decisions/0018.

-- Relays that live, whether they own a group or not: each takes its share of the groups, and no more.
CREATE TABLE outbox.relays (
    name            text        PRIMARY KEY,
    since           timestamptz NOT NULL DEFAULT clock_timestamp(),
    backend_pid     integer     NOT NULL,
    backend_started timestamptz NOT NULL,
    lease_until     timestamptz NOT NULL
) WITH (fillfactor = 50);

-- The window that Kafka transactions publish. What Kafka says of how far they came counts for the window of this
-- name and for no other: a database that went back in time does not know the name.
ALTER TABLE outbox.cursors ADD COLUMN window_name uuid,
    ADD CONSTRAINT name_of_a_window CHECK (window_name IS NULL OR window_end IS NOT NULL);
