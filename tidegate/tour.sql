-- name: events_in
-- The events that reached each workflow through the bridge, by workflow id.
SELECT workflow_id, event_type, count(*)::int AS times
FROM bridge.ledger
WHERE workflow_id IS NOT NULL AND outcome IN ('delivered', 'started', 'already_started')
GROUP BY workflow_id, event_type
ORDER BY min(id)

-- name: events_out
-- The events that each workflow's activities published, by workflow id.
SELECT extensions ->> 'workflowid' AS workflow_id, type AS event_type, count(DISTINCT event_id)::int AS times
FROM outbox.events
WHERE extensions ? 'workflowid'
GROUP BY 1, 2
ORDER BY min(id)
