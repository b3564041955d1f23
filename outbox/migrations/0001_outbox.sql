-- The outbox of one database. See docs/decisions/0003 and 0004 for what was weighed.

-- Rows are only ever inserted. `xid` stands before `id` on purpose: PostgreSQL computes defaults in the order of
-- the columns, so a row's id is drawn after its transaction has its number. The floor of a window rests on that
-- (outbox/cursor.py). The check keeps a writer from publishing what a crash of the server could still take back.
CREATE TABLE outbox.events (
    xid            xid8        NOT NULL DEFAULT pg_current_xact_id(),
    id             bigint      GENERATED ALWAYS AS IDENTITY (CACHE 1),
    created_at     timestamptz NOT NULL DEFAULT now(),
    time           timestamptz NOT NULL,
    event_id       uuid        NOT NULL,
    sequence       bigint,
    shard          smallint    NOT NULL CHECK (shard BETWEEN 0 AND 63),
    topic          text        NOT NULL,
    key            text        NOT NULL,
    type           text        NOT NULL,
    source         text        NOT NULL,
    subject        text,
    correlation_id text,
    causation_id   text,
    traceparent    text,
    extensions     jsonb       NOT NULL DEFAULT '{}',
    value          bytea       NOT NULL,
    CONSTRAINT commit_must_be_durable CHECK (current_setting('synchronous_commit') <> 'off')
) PARTITION BY RANGE (created_at);

COMMENT ON TABLE outbox.events IS 'Events to be published, written in the transaction that makes them true. Append-only.';

-- A window is read in the order of ids; what an old transaction leaves behind is found by its number.
CREATE INDEX events_id ON outbox.events (id);
CREATE INDEX events_xid ON outbox.events (xid);

-- Where a row goes when nobody has made its day: an append never fails for want of a partition.
CREATE TABLE outbox.events_default PARTITION OF outbox.events DEFAULT;

-- Event identity, for events that must be appended once however often they are asked for (0004).
CREATE TABLE outbox.identities (
    event_id   uuid        PRIMARY KEY,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX identities_created_at ON outbox.identities USING brin (created_at);

-- Which database this is. A dump carries the row along, and the server's own identifiers then differ from it.
CREATE TABLE outbox.generation (
    only_row          boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    generation        uuid    NOT NULL DEFAULT gen_random_uuid(),
    system_identifier bigint  NOT NULL,
    database_oid      oid     NOT NULL
);
INSERT INTO outbox.generation (system_identifier, database_oid)
SELECT (SELECT system_identifier FROM pg_control_system()), oid FROM pg_database WHERE datname = current_database();

-- Who relays which shards. The epoch grows with each change of owner and fences the one before.
CREATE TABLE outbox.ownership (
    shard_group     smallint    PRIMARY KEY CHECK (shard_group BETWEEN 0 AND 7),
    epoch           bigint      NOT NULL DEFAULT 0,
    owner           text,
    backend_pid     integer,
    backend_started timestamptz,
    lease_until     timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50);
INSERT INTO outbox.ownership (shard_group) SELECT generate_series(0, 7);

-- How far each group has been published: a log, of which the newest revision counts. A row that is updated a
-- hundred times a second leaves versions that an old transaction keeps alive, and each look-up walks them; a log
-- is read from its end (0003).
CREATE TABLE outbox.cursors (
    shard_group       smallint    NOT NULL REFERENCES outbox.ownership,
    revision          bigint      NOT NULL,
    epoch             bigint      NOT NULL,
    snapshot          pg_snapshot NOT NULL,
    floor             bigint      NOT NULL,
    window_end        pg_snapshot,
    ceiling           bigint,
    after             bigint      NOT NULL DEFAULT 0,
    system_identifier bigint      NOT NULL,
    timeline          integer     NOT NULL,
    database_oid      oid         NOT NULL,
    generation        uuid        NOT NULL,
    stored_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (shard_group, revision),
    CHECK ((window_end IS NULL) = (ceiling IS NULL))
);

-- Rows that Kafka refused, and those of the same key behind them. Copies, so that retention cannot take them.
CREATE TABLE outbox.parked (
    id             bigint      PRIMARY KEY,
    created_at     timestamptz NOT NULL,
    time           timestamptz NOT NULL,
    event_id       uuid        NOT NULL,
    sequence       bigint,
    shard          smallint    NOT NULL,
    topic          text        NOT NULL,
    key            text        NOT NULL,
    type           text        NOT NULL,
    source         text        NOT NULL,
    subject        text,
    correlation_id text,
    causation_id   text,
    traceparent    text,
    extensions     jsonb       NOT NULL,
    value          bytea       NOT NULL,
    reason         text        NOT NULL,
    state          text        NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'retry', 'skipped')),
    parked_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX parked_key ON outbox.parked (topic, key, id) WHERE state <> 'skipped';

-- Below this transaction number everything is published by every group.
CREATE FUNCTION outbox.published_below() RETURNS xid8 LANGUAGE sql STABLE AS $$
    SELECT coalesce(pg_snapshot_xmin(n.snapshot), '3'::xid8)
    FROM outbox.ownership AS g
         LEFT JOIN LATERAL (SELECT c.snapshot FROM outbox.cursors AS c WHERE c.shard_group = g.shard_group
                            ORDER BY c.revision DESC LIMIT 1) AS n ON true
    ORDER BY 1
    LIMIT 1
$$;

-- Make the partition of one day (UTC); false when it exists, or when rows of that day already lie in the default
-- partition, where they may stay. Attaching lets appends go on, which creating a partition in place does not.
CREATE FUNCTION outbox.make_day(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name  text := 'events_' || to_char(day, 'YYYYMMDD');
    lower timestamptz := day::timestamp AT TIME ZONE 'UTC';
    upper timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tidegate outbox days'));
    IF to_regclass(format('outbox.%I', name)) IS NOT NULL
       OR EXISTS (SELECT FROM outbox.events_default WHERE created_at >= lower AND created_at < upper) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE outbox.%I (LIKE outbox.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE outbox.events ATTACH PARTITION outbox.%I FOR VALUES FROM (%L) TO (%L)', name, lower, upper);
    RETURN true;
EXCEPTION WHEN check_violation THEN
    RETURN false;  -- a row of that day reached the default partition just now
END $$;

-- Drop the partition of one day if all of it is published. Locked first and looked at then: a transaction that
-- still writes into the day holds the lock off.
CREATE FUNCTION outbox.drop_day(name text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    newest xid8;
BEGIN
    EXECUTE format('LOCK TABLE ONLY outbox.events, ONLY outbox.%I IN ACCESS EXCLUSIVE MODE', name);
    EXECUTE format('SELECT xid FROM outbox.%I ORDER BY xid DESC LIMIT 1', name) INTO newest;
    IF newest >= outbox.published_below() THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE outbox.%I', name);
    RETURN true;
END $$;

SELECT outbox.make_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(0, 3) AS n;
