-- name: events
-- The events of an order, and of its checkouts, in this database's outbox, oldest first.
SELECT time, type, source, sequence, event_id, id
FROM outbox.events
WHERE key = ANY ($1::text[])
ORDER BY id

-- name: request
-- The request that an order was submitted with.
SELECT request_id FROM upstream.submissions WHERE order_id = $1

-- name: reservation
-- Where the stock of an order stands.
SELECT state FROM ims.reservations WHERE order_id = $1

-- name: checkouts
-- The checkouts that are about an order: the one that holds it first.
SELECT checkout_id, state, code
FROM checkouts.checkouts
WHERE order_id = $1
ORDER BY holds_order DESC, recorded_at

-- name: payment
-- What became of an order's money.
SELECT state, amount, captured, refunded, currency, failure_code
FROM payments.payments
WHERE order_id = $1
