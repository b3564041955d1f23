-- name: tables
-- Debezium's table in the layout of its outbox event router, with a column for each header that our relay sends; and
-- what fills both tables, inside the server, with the same contents. Both are append-only here.
CREATE SCHEMA debezium;
CREATE TABLE debezium.outbox (
    id            uuid PRIMARY KEY,
    aggregatetype text  NOT NULL,
    aggregateid   text  NOT NULL,
    type          text  NOT NULL,
    specversion   text  NOT NULL DEFAULT '1.0',
    source        text  NOT NULL,
    time          text  NOT NULL,
    sequence      text  NOT NULL,
    correlationid text  NOT NULL,
    causationid   text  NOT NULL,
    flow          text  NOT NULL,
    contenttype   text  NOT NULL DEFAULT 'application/avro',
    payload       bytea NOT NULL
);
CREATE PUBLICATION debezium FOR TABLE debezium.outbox;

CREATE SCHEMA bench;
CREATE FUNCTION bench.key(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT lpad((n % 1000)::text, 8, '0') || '-0000-5000-8000-000000000000' $$;
CREATE FUNCTION bench.shard(key text) RETURNS smallint LANGUAGE sql IMMUTABLE AS
    $$ SELECT (crc32(convert_to(key, 'UTF8')) % 64)::smallint $$;
CREATE FUNCTION bench.value() RETURNS bytea LANGUAGE sql IMMUTABLE AS
    $$ SELECT decode(repeat('00c5a7', 100), 'hex') $$;
CREATE FUNCTION bench.now_text() RETURNS text LANGUAGE sql STABLE AS
    $$ SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') $$;

CREATE PROCEDURE bench.fill_tidegate(topic text, first bigint, last bigint, step bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR begins IN first .. last - 1 BY step LOOP
        INSERT INTO outbox.events (shard, event_id, topic, key, type, source, subject, sequence, time,
                                   correlation_id, causation_id, extensions, value)
        SELECT bench.shard(k.key), gen_random_uuid(), fill_tidegate.topic, k.key, 'test.Happened', '/services/oms',
               k.key, n / 1000, now(), k.key, k.key, '{"flow": "direct"}', bench.value()
        FROM generate_series(begins, least(begins + step, last) - 1) AS n,
             LATERAL (SELECT bench.key(n)) AS k (key);
        COMMIT;
    END LOOP;
END $$;

CREATE PROCEDURE bench.fill_debezium(topic text, first bigint, last bigint, step bigint) LANGUAGE plpgsql AS $$
BEGIN
    FOR begins IN first .. last - 1 BY step LOOP
        INSERT INTO debezium.outbox (id, aggregatetype, aggregateid, type, source, time, sequence,
                                     correlationid, causationid, flow, payload)
        SELECT gen_random_uuid(), fill_debezium.topic, k.key, 'test.Happened', '/services/oms', bench.now_text(),
               lpad((n / 1000)::text, 20, '0'), k.key, k.key, 'direct', bench.value()
        FROM generate_series(begins, least(begins + step, last) - 1) AS n,
             LATERAL (SELECT bench.key(n)) AS k (key);
        COMMIT;
    END LOOP;
END $$;

-- name: slot
-- A slot from which everything committed from now on is read; it is made before the rows are, as by a connector that
-- ran once and went down.
SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')

-- name: drop_slot
-- Without the slot, WAL is kept for nobody.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = 'debezium' AND NOT active

-- name: write_tidegate
-- One row, one transaction: what pgbench sends.
INSERT INTO outbox.events (shard, event_id, topic, key, type, source, subject, sequence, time,
                           correlation_id, causation_id, extensions, value)
SELECT bench.shard(k.key), gen_random_uuid(), CAST(:topic AS text), k.key, 'test.Happened', '/services/oms', k.key,
       1, now(), k.key, k.key, '{"flow": "direct"}', bench.value()
FROM bench.key(CAST(:n AS bigint)) AS k (key);

-- name: write_held
-- The same, for a transaction that stays open; the id of its row.
INSERT INTO outbox.events (shard, event_id, topic, key, type, source, subject, sequence, time,
                           correlation_id, causation_id, extensions, value)
SELECT bench.shard(k.key), gen_random_uuid(), $1, k.key, 'test.Happened', '/services/oms', k.key,
       1, now(), k.key, k.key, '{"flow": "direct"}', bench.value()
FROM bench.key(7) AS k (key)
RETURNING event_id

-- name: write_debezium
-- The same row in the other layout.
INSERT INTO debezium.outbox (id, aggregatetype, aggregateid, type, source, time, sequence,
                             correlationid, causationid, flow, payload)
SELECT gen_random_uuid(), CAST(:topic AS text), k.key, 'test.Happened', '/services/oms', bench.now_text(),
       lpad('1', 20, '0'), k.key, k.key, 'direct', bench.value()
FROM bench.key(CAST(:n AS bigint)) AS k (key);

-- name: commits_tidegate
-- When each row of a topic was committed, seconds since 1970, by the server's own record of it.
SELECT event_id::text AS id, extract(epoch FROM pg_xact_commit_timestamp(xid::xid))::float8 AS at
FROM outbox.events WHERE topic = $1

-- name: commits_debezium
-- The same of the other table.
SELECT id::text AS id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at
FROM debezium.outbox WHERE aggregatetype = $1

-- name: dead
-- Versions of rows that an update or a delete left behind in the outbox, vacuumed since or not.
SELECT coalesce(sum(greatest(n_dead_tup, n_tup_upd + n_tup_del)), 0)::bigint
FROM pg_stat_user_tables WHERE schemaname = 'outbox' AND relname LIKE 'events%'

-- name: vacuums
-- Tables that autovacuum works on now.
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'
