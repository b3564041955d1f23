-- name: begin_run
-- The row that says that somebody has started; written before the first record moves.
INSERT INTO replay.runs (run_id, command, actor, topic, selection, status)
VALUES ($1, $2, $3, $4, $5::jsonb, 'running')

-- name: note_progress
-- What has been done so far.
UPDATE replay.runs
SET records = $2, outcomes = $3::jsonb, reached = $4::jsonb, noted_at = now()
WHERE run_id = $1

-- name: end_run
-- How it ended.
UPDATE replay.runs
SET records = $2, outcomes = $3::jsonb, reached = $4::jsonb, status = $5, error = $6, noted_at = now(), ended_at = now()
WHERE run_id = $1

-- name: remember_redriven
-- Dead letters that were sent back by this run, and what came of it.
INSERT INTO replay.redriven (topic, partition, "offset", outcome, run_id)
SELECT topic, partition, "offset", outcome, $5
FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::text[]) AS letter (topic, partition, "offset", outcome)
ON CONFLICT DO NOTHING

-- name: redriven_before
-- What was done last with the dead letters of a topic that any run did away with; not those that died again.
SELECT DISTINCT ON (partition, "offset") partition, "offset", outcome
FROM replay.redriven
WHERE topic = $1 AND outcome <> 'dead_lettered'
ORDER BY partition, "offset", redriven_at DESC

-- name: runs
-- The newest runs first.
SELECT run_id, command, actor, topic, selection, status, records, outcomes, reached, error, started_at, noted_at, ended_at
FROM replay.runs
ORDER BY started_at DESC
LIMIT $1

-- name: present
-- Whether the tables are there (null: `tidegate migrate` has not run).
SELECT to_regclass('replay.runs')
