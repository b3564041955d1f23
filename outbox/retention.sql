-- name: make_days
-- Partitions for today and the days ahead, where they do not exist; how many were made.
SELECT count(*) FILTER (WHERE outbox.make_day(day::date))
FROM generate_series((now() AT TIME ZONE 'UTC')::date, (now() AT TIME ZONE 'UTC')::date + $1::integer, '1 day') AS day

-- name: old_days
-- Day partitions that lie wholly before the days to keep, oldest first.
SELECT c.relname AS name
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'outbox.events'::regclass AND c.relname ~ '^events_[0-9]{8}$'
  AND to_date(substr(c.relname, 8), 'YYYYMMDD') < (now() AT TIME ZONE 'UTC')::date - $1::integer
ORDER BY c.relname

-- name: drop_day
-- Drop one day if every group is past it; whether it is gone.
SELECT outbox.drop_day($1)

-- name: trim_default
-- Remove published rows that fell into the default partition; how many.
SELECT outbox.trim_default($1)

-- name: trim_identities
-- Remove identities that nobody can ask for any more, some at a time; how many.
SELECT outbox.trim_identities($1)
