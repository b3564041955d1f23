-- name: remember_events
-- Event ids met for the first time; a repeat returns nothing. Sorted by the caller, so two writers cannot deadlock.
INSERT INTO analytics.seen_events (event_id)
SELECT unnest($1::uuid[])
ON CONFLICT (event_id) DO NOTHING
RETURNING event_id

-- name: ensure_orders
-- A row for each order, so that the next query can lock it.
INSERT INTO analytics.order_facts (order_id)
SELECT unnest($1::text[])
ON CONFLICT (order_id) DO NOTHING

-- name: lock_orders
-- The facts known so far, held until this batch commits; in key order, as every writer does.
SELECT order_id, request_id, customer_id, currency, gross, net, ordered_at, submitted_at, submission_id,
       rejected_at, created_at, reserved_at, confirmed_at, shipped_at, delivered_at, failed_at, failure_code,
       cancel_requested_at, cancelled_at, state, state_sequence
FROM analytics.order_facts
WHERE order_id = ANY ($1::text[])
ORDER BY order_id
FOR UPDATE

-- name: write_orders
-- The facts after the batch, one array a column.
UPDATE analytics.order_facts AS facts
SET request_id = batch.request_id,
    customer_id = batch.customer_id,
    currency = batch.currency,
    gross = batch.gross,
    net = batch.net,
    ordered_at = batch.ordered_at,
    submitted_at = batch.submitted_at,
    submission_id = batch.submission_id,
    rejected_at = batch.rejected_at,
    created_at = batch.created_at,
    reserved_at = batch.reserved_at,
    confirmed_at = batch.confirmed_at,
    shipped_at = batch.shipped_at,
    delivered_at = batch.delivered_at,
    failed_at = batch.failed_at,
    failure_code = batch.failure_code,
    cancel_requested_at = batch.cancel_requested_at,
    cancelled_at = batch.cancelled_at,
    state = batch.state,
    state_sequence = batch.state_sequence,
    updated_at = now()
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::numeric[], $7::timestamptz[],
    $8::timestamptz[], $9::uuid[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],
    $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::text[],
    $18::timestamptz[], $19::timestamptz[], $20::text[], $21::bigint[]
) AS batch (
    order_id, request_id, customer_id, currency, gross, net, ordered_at, submitted_at, submission_id,
    rejected_at, created_at, reserved_at, confirmed_at, shipped_at, delivered_at, failed_at, failure_code,
    cancel_requested_at, cancelled_at, state, state_sequence
)
WHERE facts.order_id = batch.order_id

-- name: add_revenue
-- Differences onto the days; in key order, as every writer does.
INSERT INTO analytics.revenue_by_day AS revenue (day, currency, orders, gross, net)
SELECT * FROM unnest($1::date[], $2::text[], $3::bigint[], $4::numeric[], $5::numeric[])
ON CONFLICT (day, currency) DO UPDATE
SET orders = revenue.orders + excluded.orders,
    gross = revenue.gross + excluded.gross,
    net = revenue.net + excluded.net

-- name: book_payments
-- What was taken and given back, once for each payment and refund: a second booking under one id changes nothing.
INSERT INTO analytics.payments (booking_id, order_id, currency, amount, booked_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::timestamptz[])
ON CONFLICT (booking_id) DO NOTHING

-- name: keep_dead_letters
-- Records that could not be read, once each by their coordinates.
INSERT INTO analytics.dead_letters (topic, partition, "offset", key, value, reason)
SELECT * FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bytea[], $5::bytea[], $6::text[])
ON CONFLICT (topic, partition, "offset") DO NOTHING

-- name: revenue
-- Revenue as a reader sees it; days that came to nothing are left out.
SELECT day, currency, orders, gross, net
FROM analytics.revenue_by_day
WHERE orders <> 0
ORDER BY day, currency

-- name: forget_events
-- Delete at most $2 ids of events seen before $1 ago; what was deleted.
DELETE FROM analytics.seen_events
WHERE event_id = ANY(ARRAY(
    SELECT old.event_id FROM analytics.seen_events AS old
    WHERE old.seen_at < now() - $1::interval
    LIMIT $2
    FOR UPDATE OF old SKIP LOCKED
))
RETURNING event_id
