-- name: live
-- Note that this relay lives; its place by age among those that do, and how many they are. A relay whose connection is
-- gone does not live, however long its lease still is; nor does one that is frozen, however good its connection.
WITH noted AS (
    INSERT INTO outbox.relays AS r (name, backend_pid, backend_started, lease_until, profile)
    SELECT $1, pid, backend_start, clock_timestamp() + make_interval(secs => $2), $3
    FROM pg_stat_activity WHERE pid = pg_backend_pid()
    ON CONFLICT (name) DO UPDATE SET lease_until = excluded.lease_until
    RETURNING r.name, r.since
), gone AS (
    DELETE FROM outbox.relays WHERE lease_until < clock_timestamp() - interval '1 day'
), alive AS (
    SELECT r.name, r.since FROM outbox.relays AS r
    WHERE r.name <> $1 AND r.lease_until > clock_timestamp()
      AND EXISTS (SELECT FROM pg_stat_activity AS a
                  WHERE a.pid = r.backend_pid AND coalesce(a.backend_start = r.backend_started, true))
)
SELECT (SELECT count(*) FROM alive, noted WHERE (alive.since, alive.name) < (noted.since, noted.name))::integer,
       (SELECT count(*) + 1 FROM alive)::integer

-- name: renew
-- Keep the groups that are still ours.
UPDATE outbox.ownership
SET lease_until = clock_timestamp() + make_interval(secs => $2)
WHERE owner = $1
RETURNING shard_group, epoch

-- name: acquire
-- Take some groups that nobody owns: never owned, given back, the lease run out, or the owner's connection gone (a
-- process that was killed leaves none; one whose start this login may not see lives). The epoch grows, so what the
-- last owner still stores is refused.
UPDATE outbox.ownership AS o
SET owner = $1, epoch = o.epoch + 1, lease_until = clock_timestamp() + make_interval(secs => $2),
    backend_pid = pg_backend_pid(),
    backend_started = (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())
WHERE o.shard_group IN (
    SELECT free.shard_group FROM outbox.ownership AS free
    WHERE free.owner IS NULL OR free.lease_until < clock_timestamp()
       OR (free.owner <> $1 AND NOT EXISTS (SELECT FROM pg_stat_activity AS a
               WHERE a.pid = free.backend_pid
                 AND coalesce(a.backend_start = free.backend_started, true)))
    ORDER BY free.shard_group
    LIMIT $3
    FOR UPDATE SKIP LOCKED
)
RETURNING o.shard_group, o.epoch

-- name: give_back
-- Give groups back, so that the next relay need not wait for the lease to run out.
UPDATE outbox.ownership SET owner = NULL, lease_until = '-infinity'
WHERE owner = $1 AND shard_group = ANY ($2::smallint[])

-- name: leave
-- Be counted no more.
DELETE FROM outbox.relays WHERE name = $1
