-- name: park
-- A record waits for its workflow; null where it waits already.
INSERT INTO bridge.parked (
    event_id, event_type, route, workflow_id, topic, partition, "offset", timestamp_ms, key, value,
    header_names, header_values, origin, deadline
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, now() + $14::interval)
ON CONFLICT (event_id, route) DO NOTHING
RETURNING id

-- name: waiting
-- The workflows that records wait for, and whether a record of each is past its deadline.
SELECT workflow_id, min(parked_at) AS since, bool_or(deadline <= now()) AS expired
FROM bridge.parked
GROUP BY workflow_id

-- name: claim
-- The right to deliver the records of one workflow, until the end of the transaction; false while another has it.
SELECT pg_try_advisory_xact_lock(hashtextextended('tidegate.parked:' || $1::text, 0)) AS claimed

-- name: first
-- The record that has waited longest for a workflow; none beyond the one with the id $2, where there is one.
SELECT *, deadline <= now() AS expired
FROM bridge.parked
WHERE workflow_id = $1 AND ($2::bigint IS NULL OR id <= $2)
ORDER BY id
LIMIT 1

-- name: remove
-- A record that waits no longer.
DELETE FROM bridge.parked WHERE id = $1

-- name: count
-- How many records wait.
SELECT count(*) FROM bridge.parked
