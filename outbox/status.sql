-- name: groups
-- Each group: its owner, how far it is, and how many rows wait (counted up to the limit), the oldest since when.
WITH place AS MATERIALIZED (
    SELECT g.shard_group, g.owner, g.epoch, g.lease_until, n.revision, coalesce(n.snapshot, '3:3:') AS snapshot,
           coalesce(n.floor, 0) AS floor, n.window_end, coalesce(n.after, 0) AS after, n.stored_at
    FROM outbox.ownership AS g
         LEFT JOIN LATERAL (SELECT * FROM outbox.cursors AS c WHERE c.shard_group = g.shard_group
                            ORDER BY c.revision DESC LIMIT 1) AS n ON true
), candidates AS (
    (SELECT id, xid, shard, created_at FROM outbox.events WHERE id > (SELECT min(floor) FROM place))
    UNION ALL
    (SELECT id, xid, shard, created_at FROM outbox.events
     WHERE xid = ANY (ARRAY(SELECT pg_snapshot_xip(snapshot) FROM place)) AND id + 0 <= (SELECT min(floor) FROM place))
), waiting AS (
    SELECT p.shard_group, e.created_at
    FROM candidates AS e JOIN place AS p ON p.shard_group = e.shard * 8 / 64
    WHERE NOT pg_visible_in_snapshot(e.xid, p.snapshot)
      AND (p.window_end IS NULL OR e.id > p.after OR NOT pg_visible_in_snapshot(e.xid, p.window_end))
    LIMIT $1
)
SELECT p.shard_group, p.owner, p.epoch, p.lease_until > clock_timestamp() AS alive, p.revision,
       p.snapshot::text AS snapshot, p.stored_at, count(w.created_at) AS lag_rows,
       coalesce(extract(epoch FROM clock_timestamp() - min(w.created_at)), 0)::float8 AS lag_seconds
FROM place AS p LEFT JOIN waiting AS w USING (shard_group)
GROUP BY p.shard_group, p.owner, p.epoch, p.lease_until, p.revision, p.snapshot::text, p.stored_at
ORDER BY p.shard_group

-- name: relays
-- The relays of this database, whether they own groups or stand by, and those that went within the last minute.
SELECT r.name, r.profile, r.since, r.backend_pid AS pid,
       r.lease_until > clock_timestamp() AND EXISTS (
           SELECT FROM pg_stat_activity AS a
           WHERE a.pid = r.backend_pid AND coalesce(a.backend_start = r.backend_started, true)) AS alive,
       (SELECT count(*) FROM outbox.ownership AS o WHERE o.owner = r.name)::integer AS groups
FROM outbox.relays AS r
WHERE r.lease_until > clock_timestamp() - interval '1 minute'
ORDER BY r.since, r.name

-- name: blocker
-- The oldest transaction under way in this database that has written: its own rows wait until it ends. One that was
-- prepared for two phases waits for COMMIT PREPARED and has no process. Times of other logins are hidden from one that
-- is no member of pg_read_all_stats.
SELECT pid, coalesce(extract(epoch FROM clock_timestamp() - since), 0)::float8 AS seconds, state, query
FROM (SELECT pid, xact_start AS since, state, left(query, 200) AS query
      FROM pg_stat_activity
      WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
      UNION ALL
      SELECT NULL, prepared, 'prepared', 'PREPARE TRANSACTION ' || quote_literal(gid)
      FROM pg_prepared_xacts WHERE database = current_database()) AS open
ORDER BY since
LIMIT 1

-- name: parked
-- How many rows are parked.
SELECT count(*) FROM outbox.parked WHERE state <> 'skipped'
