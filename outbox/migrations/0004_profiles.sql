-- What a relay promises to readers, for `tidegate outbox status`.
ALTER TABLE outbox.relays ADD COLUMN profile text NOT NULL DEFAULT 'idempotent';
