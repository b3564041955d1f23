-- name: append
-- Append events, in the order of the arrays. One statement, one round trip, however many.
INSERT INTO outbox.events (shard, event_id, topic, key, type, source, subject, sequence, time,
                           correlation_id, causation_id, extensions, traceparent, value)
SELECT e.shard, e.event_id, e.topic, e.key, e.type, e.source, e.subject, e.sequence, e.time,
       e.correlation_id, e.causation_id, CAST(e.extensions AS jsonb), e.traceparent, e.value
FROM unnest(CAST($1 AS smallint[]), CAST($2 AS uuid[]), CAST($3 AS text[]), CAST($4 AS text[]), CAST($5 AS text[]),
            CAST($6 AS text[]), CAST($7 AS text[]), CAST($8 AS bigint[]), CAST($9 AS timestamptz[]),
            CAST($10 AS text[]), CAST($11 AS text[]), CAST($12 AS text[]), CAST($13 AS text[]), CAST($14 AS bytea[]))
     AS e (shard, event_id, topic, key, type, source, subject, sequence, time,
           correlation_id, causation_id, extensions, traceparent, value)

-- name: append_once
-- Append one event unless its identity is known. The identity is claimed in the same statement: of two
-- transactions that try at once, the second waits for the first and then adds nothing. What it returns comes from the
-- identities, because whoever appends may not read events.
WITH claimed AS (
    INSERT INTO outbox.identities (event_id) SELECT unnest(CAST($2 AS uuid[]))
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id
), appended AS (
    INSERT INTO outbox.events (shard, event_id, topic, key, type, source, subject, sequence, time,
                               correlation_id, causation_id, extensions, traceparent, value)
    SELECT e.shard, e.event_id, e.topic, e.key, e.type, e.source, e.subject, e.sequence, e.time,
           e.correlation_id, e.causation_id, CAST(e.extensions AS jsonb), e.traceparent, e.value
    FROM unnest(CAST($1 AS smallint[]), CAST($2 AS uuid[]), CAST($3 AS text[]), CAST($4 AS text[]), CAST($5 AS text[]),
                CAST($6 AS text[]), CAST($7 AS text[]), CAST($8 AS bigint[]), CAST($9 AS timestamptz[]),
                CAST($10 AS text[]), CAST($11 AS text[]), CAST($12 AS text[]), CAST($13 AS text[]), CAST($14 AS bytea[]))
         AS e (shard, event_id, topic, key, type, source, subject, sequence, time,
               correlation_id, causation_id, extensions, traceparent, value)
         JOIN claimed USING (event_id)
)
SELECT event_id FROM claimed

-- name: exists
-- Whether an event was appended by its identity.
SELECT EXISTS (SELECT FROM outbox.identities WHERE event_id = CAST($1 AS uuid))
