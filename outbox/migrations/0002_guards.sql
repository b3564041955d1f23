-- What a relay needs that may write neither events nor tables, and what keeps a key in its partition. See
-- docs/decisions/0019.

-- Over how many partitions of each topic keys are spread, noted when the first row is published to it.
CREATE TABLE outbox.topics (
    topic      text        PRIMARY KEY,
    partitions integer     NOT NULL CHECK (partitions > 0),
    noted_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE outbox.topics IS 'Partitions that the keys of a topic are spread over. Changed by `tidegate outbox accept-partitions`.';

-- The house is kept with the rights of its owner, in these four functions and in no other way: a relay may not make
-- or drop tables itself. Each looks at what it is asked for, because the rights are its own and the question is not.

-- As in 0001.
CREATE OR REPLACE FUNCTION outbox.make_day(day date) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name  text := 'events_' || to_char(day, 'YYYYMMDD');
    lower timestamptz := day::timestamp AT TIME ZONE 'UTC';
    upper timestamptz := (day + 1)::timestamp AT TIME ZONE 'UTC';
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('tidegate outbox days'));
    IF to_regclass(format('outbox.%I', name)) IS NOT NULL
       OR EXISTS (SELECT FROM outbox.events_default WHERE created_at >= lower AND created_at < upper) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE outbox.%I (LIKE outbox.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('ALTER TABLE outbox.events ATTACH PARTITION outbox.%I FOR VALUES FROM (%L) TO (%L)', name, lower, upper);
    RETURN true;
EXCEPTION WHEN check_violation THEN
    RETURN false;  -- a row of that day reached the default partition just now
END $$;

-- As in 0001, for a day that is a partition of the events and is over: nothing else can be dropped through it.
CREATE OR REPLACE FUNCTION outbox.drop_day(name text) RETURNS boolean LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest xid8;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
                   WHERE i.inhparent = 'outbox.events'::regclass AND c.relname = drop_day.name
                     AND c.relname ~ '^events_[0-9]{8}$'
                     AND to_date(substr(c.relname, 8), 'YYYYMMDD') < (now() AT TIME ZONE 'UTC')::date) THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE ONLY outbox.events, ONLY outbox.%I IN ACCESS EXCLUSIVE MODE', name);
    EXECUTE format('SELECT xid FROM outbox.%I ORDER BY xid DESC LIMIT 1', name) INTO newest;
    IF newest >= outbox.published_below() THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP TABLE outbox.%I', name);
    RETURN true;
END $$;

-- Published rows, at least a day old, that fell into the default partition because nobody had made their day.
CREATE FUNCTION outbox.trim_default(days integer) RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM outbox.events_default AS e
        WHERE e.created_at < now() - make_interval(days => greatest(days, 1)) AND e.xid < outbox.published_below()
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

-- Identities, at least a day old, that nobody can ask for any more, some at a time.
CREATE FUNCTION outbox.trim_identities(days integer) RETURNS bigint LANGUAGE sql
SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM outbox.identities
        WHERE event_id IN (SELECT event_id FROM outbox.identities
                           WHERE created_at < now() - make_interval(days => greatest(days, 1)) LIMIT 10000)
        RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

REVOKE EXECUTE ON FUNCTION outbox.make_day, outbox.drop_day, outbox.trim_default, outbox.trim_identities FROM PUBLIC;
