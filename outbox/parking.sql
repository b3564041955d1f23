-- name: park
-- Copy rows aside with the reason why Kafka does not have them. Repeating it changes nothing.
INSERT INTO outbox.parked (id, created_at, time, event_id, sequence, shard, topic, key, type, source, subject,
                           correlation_id, causation_id, traceparent, extensions, value, reason)
SELECT e.id, e.created_at, e.time, e.event_id, e.sequence, e.shard, e.topic, e.key, e.type, e.source, e.subject,
       e.correlation_id, e.causation_id, e.traceparent, e.extensions, e.value, r.reason
FROM unnest($1::bigint[], $2::text[]) AS r (id, reason) JOIN outbox.events AS e USING (id)
ON CONFLICT (id) DO NOTHING

-- name: held_keys
-- The keys of these shards that wait behind a parked row.
SELECT DISTINCT topic, key FROM outbox.parked WHERE state <> 'skipped' AND shard = ANY ($1::smallint[])

-- name: to_retry
-- Rows of the keys that somebody asked to retry, in order. All rows of such a key, whenever they were parked.
SELECT {row}
FROM outbox.parked
WHERE state <> 'skipped' AND shard = ANY ($1::smallint[])
  AND (topic, key) IN (SELECT topic, key FROM outbox.parked WHERE state = 'retry')
ORDER BY id
LIMIT $2

-- name: sent
-- Parked rows that Kafka has now.
DELETE FROM outbox.parked WHERE id = ANY ($1::bigint[])

-- name: refused_again
-- Parked rows that Kafka refused once more: their keys wait again.
UPDATE outbox.parked AS p SET state = 'held', reason = r.reason
FROM unnest($1::bigint[], $2::text[]) AS r (id, reason)
WHERE p.id = r.id AND p.state <> 'skipped'

-- name: list
-- What is parked, the head of each key first.
SELECT id, topic, key, type, source, subject, sequence, event_id, octet_length(value) AS bytes, state, reason,
       created_at, parked_at
FROM outbox.parked
WHERE ($1::text IS NULL OR key = $1) AND ($2::text IS NULL OR topic = $2) AND ($3 OR state <> 'skipped')
ORDER BY topic, key, id
LIMIT $4

-- name: records
-- Parked rows whole, as the records that they would be, the head of each key first.
SELECT {row}, state, reason, created_at, parked_at
FROM outbox.parked
WHERE ($1::text IS NULL OR key = $1) AND ($2::text IS NULL OR topic = $2) AND ($3 OR state <> 'skipped')
  AND ($4::bigint IS NULL OR id = $4)
ORDER BY topic, key, id

-- name: ask_retry
-- Ask the relay to send the parked rows of one key, of one topic, or all of them.
UPDATE outbox.parked SET state = 'retry'
WHERE state = 'held' AND ($1::text IS NULL OR key = $1) AND ($2::text IS NULL OR topic = $2)
RETURNING id

-- name: skip
-- Give up one row, which must be the first of its key: it stays as a record and is never sent.
UPDATE outbox.parked AS p SET state = 'skipped'
WHERE p.id = $1 AND p.state <> 'skipped'
  AND NOT EXISTS (SELECT FROM outbox.parked AS before
                  WHERE before.topic = p.topic AND before.key = p.key AND before.id < p.id AND before.state <> 'skipped')
RETURNING topic, key

-- name: retry_key
-- The rows that stood behind a skipped one.
UPDATE outbox.parked SET state = 'retry' WHERE topic = $1 AND key = $2 AND state = 'held'
