-- name: row
-- A row with these columns, as the relay reads it.
SELECT {row}
FROM (VALUES ($1::bigint, now(), 't', 'k', 0::smallint, $2::uuid, $3::text, $4::text, $5::timestamptz, $6::text,
              $7::bigint, $8::text, $9::text, $10::jsonb, $11::text, $12::bytea))
     AS e (id, created_at, topic, key, shard, event_id, type, source, time, subject, sequence, correlation_id,
           causation_id, extensions, traceparent, value)
