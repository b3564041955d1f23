-- name: outcomes
-- What became of an event on a route so far, oldest first; a record that was bad on every route has none in its letter.
SELECT outcome, reason, origin, at
FROM bridge.ledger
WHERE event_id = $1 AND route IN ($2, '')
ORDER BY id

-- name: parked
-- How many other events were parked before this one for a workflow, and until when this one is; null: it is not parked.
WITH own AS (SELECT id, deadline FROM bridge.parked WHERE event_id = $1 AND route = $2)
SELECT
    (
        SELECT count(*) FROM bridge.parked AS other
        WHERE other.workflow_id = $3
          AND other.id < coalesce((SELECT id FROM own), 9223372036854775807)
    ) AS ahead,
    (SELECT deadline FROM own) AS until
