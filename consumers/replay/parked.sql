-- name: selected
-- Events that wait and fit all that is given (empty fits all), oldest first, with their place in their workflow's queue.
WITH queue AS (
    SELECT
        id,
        row_number() OVER (PARTITION BY workflow_id ORDER BY id) - 1 AS ahead,
        count(*) OVER (PARTITION BY workflow_id) - row_number() OVER (PARTITION BY workflow_id ORDER BY id) AS behind
    FROM bridge.parked
)
SELECT
    id, event_id, event_type, route, workflow_id, topic, partition, "offset", key, origin, parked_at, deadline,
    deadline <= now() AS expired, ahead, behind
FROM bridge.parked JOIN queue USING (id)
WHERE ($1::uuid[] = '{}' OR event_id = ANY($1))
  AND ($2::text[] = '{}' OR workflow_id = ANY($2))
  AND ($3::text[] = '{}' OR event_type = ANY($3) OR substring(event_type FROM '[^.]*$') = ANY($3))
  AND ($4::text[] = '{}' OR route = ANY($4))
  AND ($5::bytea[] = '{}' OR key = ANY($5))
  AND ($6::timestamptz IS NULL OR parked_at < $6)
ORDER BY id
LIMIT $7

-- name: whole
-- One event as it was read; one row for each route that it waits on.
SELECT *, deadline <= now() AS expired FROM bridge.parked WHERE event_id = $1 ORDER BY id

-- name: claim
-- The right to the records of one workflow, waited for; bridges take the same one to deliver.
SELECT pg_advisory_xact_lock(hashtextextended('tidegate.parked:' || $1::text, 0))

-- name: remove
-- A record that waits no longer; null where it has gone already.
DELETE FROM bridge.parked WHERE id = $1 RETURNING id

-- name: extend
-- More time for a record, from its deadline or from now, whichever is later; null where it has gone.
UPDATE bridge.parked SET deadline = greatest(deadline, now()) + $2::interval WHERE id = $1 RETURNING id
