-- name: append
-- Entries in the order given; each gets the next delivery number of its event on its route.
INSERT INTO bridge.ledger (
    event_id, event_type, topic, partition, "offset", key, route, workflow_id, outcome, reason, origin, delivery, at
)
SELECT
    new.event_id, new.event_type, new.topic, new.partition, new."offset", new.key, new.route, new.workflow_id,
    new.outcome, new.reason, new.origin,
    (
        SELECT count(*) FROM bridge.ledger AS known
        WHERE known.event_id = new.event_id AND known.route = new.route
    ) + row_number() OVER (PARTITION BY new.event_id, new.route ORDER BY new.place),
    new.at
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::integer[], $5::bigint[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::timestamptz[]
) WITH ORDINALITY AS new (
    event_id, event_type, topic, partition, "offset", key, route, workflow_id, outcome, reason, origin, at, place
)
ORDER BY new.place

-- name: known
-- Which of these events have an entry with one of these outcomes, and on which routes.
SELECT DISTINCT event_id, route, outcome
FROM bridge.ledger
WHERE event_id = ANY($1::uuid[]) AND outcome = ANY($2::text[])

-- name: present
-- Whether the tables are there (null: `tidegate migrate` has not run).
SELECT to_regclass('bridge.ledger') AS ledger

-- name: forget
-- Delete at most $2 entries older than $1, but none of an event that still waits for its workflow; what was deleted.
DELETE FROM bridge.ledger
WHERE id = ANY(ARRAY(
    SELECT old.id FROM bridge.ledger AS old
    WHERE old.at < now() - $1::interval
      AND NOT EXISTS (SELECT FROM bridge.parked AS p WHERE p.event_id = old.event_id)
    LIMIT $2
    FOR UPDATE OF old SKIP LOCKED
))
RETURNING id
