-- name: current
-- Which database this is: what the server says, and what the outbox noted when it was made.
SELECT (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
       CASE WHEN pg_is_in_recovery() THEN 0
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::integer END AS timeline,
       d.oid AS database_oid, g.generation,
       g.system_identifier AS noted_system_identifier, g.database_oid AS noted_database_oid
FROM pg_database AS d, outbox.generation AS g
WHERE d.datname = current_database()

-- name: dangers
-- What would make publishing unsafe or impossible: no outbox, rights that this login lacks, a standby, commits that
-- may be lost after they were seen.
WITH needed (name, privilege) AS (
    VALUES ('events', 'SELECT'), ('generation', 'SELECT'), ('ownership', 'UPDATE'), ('cursors', 'INSERT'),
           ('parked', 'INSERT'), ('topics', 'INSERT')
), found AS (
    SELECT n.name, n.privilege, c.oid, s.oid AS schema
    FROM needed AS n
         LEFT JOIN pg_namespace AS s ON s.nspname = 'outbox'
         LEFT JOIN pg_class AS c ON c.relnamespace = s.oid AND c.relname = n.name
)
SELECT bool_or(oid IS NULL) AS missing,
       string_agg(lower(privilege) || ' outbox.' || name, ', ' ORDER BY name)
           FILTER (WHERE NOT has_schema_privilege(schema, 'USAGE')
                      OR NOT (has_table_privilege(oid, privilege) OR has_any_column_privilege(oid, privilege)))
           AS lacking,
       current_user AS login,
       pg_is_in_recovery() AS standby,
       current_setting('synchronous_commit') = 'off' AS lazy,
       EXISTS (SELECT FROM pg_db_role_setting AS s, unnest(s.setconfig) AS setting
               WHERE setting = 'synchronous_commit=off'
                 AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())))
         AS lazy_somewhere
FROM found

-- name: adopt
-- Make a restored copy a database of its own. Published rows get a number that every snapshot sees; the rest get
-- this transaction's, which lies after the snapshot that the cursors are set to.
UPDATE outbox.events AS e
SET xid = CASE WHEN pg_visible_in_snapshot(e.xid, c.snapshot)
                 OR (c.window_end IS NOT NULL AND e.id <= c.after AND pg_visible_in_snapshot(e.xid, c.window_end))
               THEN '2'::xid8 ELSE pg_current_xact_id() END
FROM (SELECT g.shard_group, coalesce(n.snapshot, '3:3:') AS snapshot, n.window_end, coalesce(n.after, 0) AS after
      FROM outbox.ownership AS g
           LEFT JOIN LATERAL (SELECT * FROM outbox.cursors AS c WHERE c.shard_group = g.shard_group
                              ORDER BY c.revision DESC LIMIT 1) AS n ON true) AS c
WHERE c.shard_group = e.shard * 8 / 64

-- name: forget_cursors
-- The cursors of the database that this one was copied from.
DELETE FROM outbox.cursors

-- name: begin_generation
-- A new life for this copy: no relay of the old one can hold a lease in it.
UPDATE outbox.generation
SET generation = gen_random_uuid(),
    system_identifier = (SELECT system_identifier FROM pg_control_system()),
    database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())
RETURNING generation

-- name: free_groups
-- No owner, and an epoch that nobody has seen.
UPDATE outbox.ownership SET owner = NULL, epoch = epoch + 1, lease_until = '-infinity'

-- name: place_cursors
-- Every group at one snapshot, in the new generation.
INSERT INTO outbox.cursors (shard_group, revision, epoch, snapshot, floor, system_identifier, timeline, database_oid, generation)
SELECT shard_group, 1, epoch, $1::text::pg_snapshot, 0, $2, $3, $4, $5 FROM outbox.ownership
