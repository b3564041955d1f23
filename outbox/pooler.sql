-- name: mark
-- A setting of this session and of no other.
SET SESSION tidegate.mark = '{mark}'

-- name: hold
-- Keep a backend: a pooler may give it to nobody else before the transaction is over.
BEGIN; SELECT 1

-- name: ask
-- Is this the session that made the setting?
DO $$ BEGIN
    IF current_setting('tidegate.mark', true) IS DISTINCT FROM '{mark}' THEN
        RAISE EXCEPTION 'another session' USING ERRCODE = '{lost}';
    END IF;
END $$

-- name: let_go
-- Give the backend back.
ROLLBACK
