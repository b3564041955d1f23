-- name: load
-- The newest revision of each of the groups; a group that never published has none.
SELECT c.shard_group, c.revision, c.snapshot::text AS snapshot, c.floor, c.window_end::text AS window_end, c.ceiling,
       c.window_name, c.after, c.system_identifier, c.timeline, c.database_oid, c.generation, c.stored_at
FROM unnest($1::smallint[]) AS wanted (shard_group)
     CROSS JOIN LATERAL (SELECT * FROM outbox.cursors AS newest
                         WHERE newest.shard_group = wanted.shard_group
                         ORDER BY newest.revision DESC LIMIT 1) AS c

-- name: store
-- One more revision for each of the groups, if this owner still holds all of them at the given epochs; otherwise
-- nothing. FOR SHARE makes a takeover wait for this statement, or this one for the takeover: a relay that was
-- replaced stores nothing. One statement, so that a relay that freezes cannot do so with the locks in its hands.
WITH wanted AS (
    SELECT * FROM unnest($2::smallint[], $3::bigint[], $4::bigint[]) AS w (shard_group, epoch, revision)
), owned AS (
    SELECT o.shard_group, o.epoch FROM outbox.ownership AS o
    WHERE o.owner = $1 AND o.shard_group = ANY ($2::smallint[])
    FOR SHARE
), mine AS MATERIALIZED (
    SELECT * FROM wanted JOIN owned USING (shard_group, epoch)
)
INSERT INTO outbox.cursors (shard_group, revision, epoch, snapshot, floor, window_end, ceiling, window_name, after,
                            system_identifier, timeline, database_oid, generation)
SELECT shard_group, revision, epoch, $5::text::pg_snapshot, $6, $7::text::pg_snapshot, $8, $9, $10, $11, $12, $13, $14
FROM mine WHERE (SELECT count(*) FROM mine) = (SELECT count(*) FROM wanted)
RETURNING shard_group

-- name: prune
-- Forget revisions that are long superseded. The last hundred stay, for whoever wants to know how it came about.
DELETE FROM outbox.cursors AS c
USING outbox.ownership AS g,
      LATERAL (SELECT revision FROM outbox.cursors AS n WHERE n.shard_group = g.shard_group
               ORDER BY n.revision DESC LIMIT 1) AS newest
WHERE c.shard_group = g.shard_group AND c.revision < newest.revision - 100
