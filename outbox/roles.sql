-- name: existing
-- Which of these roles there are.
SELECT rolname FROM pg_roles WHERE rolname = ANY ($1::text[])

-- name: login
-- Who we are, as statements write it.
SELECT quote_ident(current_user)

-- name: may_see_sessions
-- Whether the role sees the sessions of other logins, by whose end a relay knows that another one is gone.
SELECT pg_has_role($1::text, 'pg_read_all_stats', 'MEMBER')

-- name: migrator_is_ours
-- Whether this login may hand objects to the migrator. Since PostgreSQL 16 to be a member is not enough.
SELECT CASE WHEN current_setting('server_version_num')::integer >= 160000
            THEN pg_has_role(current_user, $1::text, 'SET') ELSE pg_has_role(current_user, $1::text, 'MEMBER') END

-- name: app
-- Whoever appends: rows go in and nothing comes out. Number, id and time of arrival are the database's to give, for
-- the relay's cursor rests on them. Identities are asked by `exists`.
GRANT USAGE ON SCHEMA outbox TO tidegate_app;
GRANT INSERT (time, event_id, sequence, shard, topic, key, type, source, subject, correlation_id, causation_id,
              traceparent, extensions, value) ON outbox.events TO tidegate_app;
GRANT INSERT (event_id), SELECT (event_id) ON outbox.identities TO tidegate_app;

-- name: relay
-- Whoever publishes: reads events, keeps cursors and leases, parks copies. Days are made and dropped by functions
-- that look themselves.
GRANT USAGE ON SCHEMA outbox TO tidegate_relay;
GRANT SELECT ON outbox.events, outbox.events_id_seq, outbox.generation TO tidegate_relay;
GRANT SELECT, UPDATE ON outbox.ownership TO tidegate_relay;
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox.relays TO tidegate_relay;
GRANT SELECT, INSERT, DELETE ON outbox.cursors TO tidegate_relay;
GRANT SELECT, INSERT, DELETE, UPDATE (state, reason) ON outbox.parked TO tidegate_relay;
GRANT SELECT, INSERT, UPDATE (partitions, noted_at) ON outbox.topics TO tidegate_relay;
GRANT EXECUTE ON FUNCTION outbox.published_below, outbox.make_day, outbox.drop_day, outbox.trim_default,
                          outbox.trim_identities TO tidegate_relay;

-- name: reader
-- Whoever only looks: status, audit, reconciliation.
GRANT USAGE ON SCHEMA outbox TO tidegate_reader;
GRANT SELECT ON outbox.events, outbox.events_id_seq, outbox.identities, outbox.generation, outbox.ownership, outbox.relays,
                outbox.cursors, outbox.parked, outbox.topics TO tidegate_reader;
GRANT EXECUTE ON FUNCTION outbox.published_below TO tidegate_reader;

-- name: foreign_objects
-- What of the outbox does not belong to the migrator yet, as the statements that hand it over. A sequence of an
-- identity goes with its table; whoever is to own a schema must be able to make one.
SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), $1::text) AS statement, 0 AS place
WHERE NOT has_database_privilege($1::text, current_database(), 'CREATE')
UNION ALL
SELECT format('ALTER SCHEMA outbox OWNER TO %I', $1::text), 1
FROM pg_namespace WHERE nspname = 'outbox' AND pg_get_userbyid(nspowner) <> $1::text
UNION ALL
SELECT format('ALTER TABLE outbox.%I OWNER TO %I', relname, $1::text), 2
FROM pg_class WHERE relnamespace = 'outbox'::regnamespace AND relkind IN ('r', 'p')
                AND pg_get_userbyid(relowner) <> $1::text
UNION ALL
SELECT format('ALTER FUNCTION %s OWNER TO %I', oid::regprocedure, $1::text), 3
FROM pg_proc WHERE pronamespace = 'outbox'::regnamespace AND pg_get_userbyid(proowner) <> $1::text
ORDER BY place, statement
