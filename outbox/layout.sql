-- name: load
-- Over how many partitions the keys of each topic are spread.
SELECT topic, partitions FROM outbox.topics

-- name: note
-- Topics that rows go to for the first time. What somebody else has noted stays.
INSERT INTO outbox.topics (topic, partitions) SELECT * FROM unnest($1::text[], $2::integer[])
ON CONFLICT (topic) DO NOTHING

-- name: owners
-- Who owns groups, and whether it lives. The locks keep relays from taking any until the transaction ends.
SELECT o.owner, o.lease_until > clock_timestamp() AND EXISTS (
           SELECT FROM pg_stat_activity AS a
           WHERE a.pid = o.backend_pid AND coalesce(a.backend_start = o.backend_started, true)) AS alive
FROM outbox.ownership AS o
FOR UPDATE

-- name: fence
-- Whoever owned a group does so no more: a relay that froze, too, has to take it and to read the layout anew.
UPDATE outbox.ownership SET owner = NULL, epoch = epoch + 1, lease_until = '-infinity'

-- name: accept
-- Spread the keys of these topics over that many partitions; those that were spread otherwise before.
WITH before AS (
    SELECT t.topic, t.partitions AS was FROM outbox.topics AS t
    JOIN unnest($1::text[], $2::integer[]) AS found (topic, partitions) ON found.topic = t.topic
    WHERE t.partitions <> found.partitions
)
UPDATE outbox.topics AS t SET partitions = found.partitions, noted_at = now()
FROM unnest($1::text[], $2::integer[]) AS found (topic, partitions), before
WHERE t.topic = found.topic AND before.topic = t.topic
RETURNING t.topic, before.was, t.partitions
