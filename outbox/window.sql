-- name: look
-- The snapshot of this statement, and the highest id drawn so far. The sequence is read after the snapshot was
-- taken, so no row that the snapshot sees has a higher id.
SELECT pg_current_snapshot()::text, CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox.events_id_seq

-- name: page
-- Rows of a window above its floor, in the order of the index on id: so many, or so many bytes and the row that passes
-- them. The snapshots are sub-selects so that each is read once a statement and not once a row.
SELECT {row}
FROM (
    SELECT *, sum(octet_length(value)) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) AS bytes
    FROM outbox.events
    WHERE id > $1 AND id <= $2
      AND pg_visible_in_snapshot(xid, (SELECT $4::text::pg_snapshot))
      AND NOT pg_visible_in_snapshot(xid, (SELECT $3::text::pg_snapshot))
      AND shard = ANY ($5::smallint[])
    ORDER BY id
    LIMIT $6
) AS page
WHERE bytes - octet_length(value) < $7
ORDER BY id

-- name: stragglers
-- Rows at or below the floor, by transactions that ran when the window began and are over now. `id + 0` keeps the
-- planner from walking the index on id through everything ever published; the one on xid finds them.
SELECT {row}
FROM outbox.events
WHERE xid = ANY ($3::text[]::xid8[]) AND id + 0 > $1 AND id + 0 <= $2 AND shard = ANY ($4::smallint[])
ORDER BY id + 0
LIMIT $5
