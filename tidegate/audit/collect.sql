-- name: rows
-- Every committed row of this database's outbox.
SELECT id, event_id, topic, key, type, source, coalesce(subject, key) AS subject, sequence
FROM outbox.events
ORDER BY id

-- name: submissions
-- Every order that was submitted to be taken in; one that was submitted as a checkout is in the outbox as such.
SELECT request_id, order_id
FROM upstream.submissions
WHERE order_id NOT IN (
    SELECT correlation_id FROM outbox.events
    WHERE type = 'tidegate.oms.checkouts.CheckoutRequested' AND correlation_id IS NOT NULL
)

-- name: ledger
-- What the bridge wrote down, in the order in which it happened. Order is promised to what was read live and
-- delivered at once.
SELECT event_id, topic, partition, "offset", key, workflow_id, route, outcome,
       origin = 'live' AND outcome IN ('delivered', 'started', 'already_started') AS in_order
FROM bridge.ledger
ORDER BY id

-- name: parked
-- Events that wait for their workflow.
SELECT event_id FROM bridge.parked

-- name: effects
-- How many of each effect an order has had, by the tables of the services. Their keys allow one; the audit does not
-- take their word for it.
SELECT 'reservations' AS what, order_id, count(*)::int AS times FROM ims.reservations GROUP BY order_id
UNION ALL
SELECT 'pick waves', order_id, count(*)::int FROM wms.waves GROUP BY order_id
UNION ALL
SELECT 'shipments', order_id, count(*)::int FROM sms.shipments GROUP BY order_id
UNION ALL
SELECT 'shipment labels', order_id, count(DISTINCT tracking_number)::int FROM sms.shipments
WHERE tracking_number IS NOT NULL GROUP BY order_id

-- name: money
-- Every paid order beside its payment, and every payment beside its order, where there is one.
SELECT order_id, orders.state, orders.shipped_at IS NOT NULL AS shipped, coalesce(lines.owed, payments.amount, 0) AS owed,
       coalesce(payments.captured, 0) AS captured, coalesce(payments.refunded, 0) AS refunded,
       (SELECT count(*) FROM payments.refunds
        WHERE refunds.order_id = coalesce(orders.order_id, payments.order_id) AND refunds.amount > 0)::int AS refunds
FROM (SELECT * FROM oms.orders WHERE flow = 'paid') AS orders
FULL JOIN payments.payments USING (order_id)
LEFT JOIN (SELECT order_id, sum(net) AS owed FROM oms.order_lines GROUP BY order_id) AS lines USING (order_id)
ORDER BY order_id

-- name: payments
-- The order of each payment: the provider knows payments only.
SELECT payment_id, order_id FROM payments.payments

-- name: books
-- What the simulated provider has done under each payment, in its own database.
SELECT reference, (count(*) FILTER (WHERE captured > 0))::int AS captures, sum(captured) AS captured,
       sum(refunds)::int AS refunds, sum(refunded) AS refunded
FROM provider.authorizations
GROUP BY reference
ORDER BY reference
