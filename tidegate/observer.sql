-- name: states
-- How many of the orders are in each state, by OMS. A paid order that was shipped is on its way until it is
-- delivered; a submission or a checkout that came to no order of its own is rejected.
SELECT CASE WHEN flow = 'paid' AND state = 'SHIPPED' THEN 'ON_ITS_WAY' ELSE state END AS state, count(*)::int AS orders
FROM oms.orders
GROUP BY 1
UNION ALL
SELECT 'REJECTED', count(*)::int FROM oms.submissions WHERE cardinality(reasons) > 0
UNION ALL
SELECT 'REJECTED', count(*)::int FROM checkouts.checkouts AS c
WHERE c.closed_at IS NOT NULL
  AND NOT (c.holds_order AND EXISTS (SELECT FROM oms.orders AS o WHERE o.order_id = c.order_id))

-- name: open
-- Checkouts, returns and replenishments that are not at their end.
SELECT (
    (SELECT count(*) FROM checkouts.checkouts WHERE closed_at IS NULL)
    + (SELECT count(*) FROM returns.returns WHERE closed_at IS NULL)
    + (SELECT count(*) FROM ims.items WHERE on_order > 0)
)::int

-- name: waiting
-- Orders whose stock is short, with no replenishment under way for anything that they lack.
SELECT count(*)::int
FROM ims.reservations AS r
WHERE r.state = 'WAITING' AND NOT EXISTS (
    SELECT FROM ims.reservation_lines AS l JOIN ims.items AS i USING (sku)
    WHERE l.order_id = r.order_id AND i.awaited > i.on_hand AND (i.below AND NOT i.settled OR i.on_order > 0)
)

-- name: events
-- Distinct events committed to this database's outbox.
SELECT count(DISTINCT event_id)::int FROM outbox.events

-- name: signals
-- Signals delivered into workflows.
SELECT count(*)::int FROM bridge.ledger WHERE outcome = 'delivered'

-- name: parked
-- Events that wait for their workflow, and outbox rows that Kafka refused.
SELECT ((SELECT count(*) FROM bridge.parked) + (SELECT count(*) FROM outbox.parked WHERE state <> 'skipped'))::int

-- name: refused
-- Outbox rows of this database that Kafka refused.
SELECT count(*)::int FROM outbox.parked WHERE state <> 'skipped'

-- name: submitted
-- Orders that were submitted, and when the event was appended.
SELECT key AS order_id, min(created_at) AS at FROM outbox.events
WHERE type = 'tidegate.oms.orders.OrderSubmitted' GROUP BY key

-- name: shipped
-- When the fact that an order was shipped was appended.
SELECT key AS order_id, min(created_at) AS at FROM outbox.events
WHERE type = 'tidegate.oms.orders.OrderShipped' GROUP BY key

-- name: upstream_tasks
-- What the simulated outside world still mean to do.
SELECT count(*)::int FROM upstream.tasks WHERE done_at IS NULL

-- name: submitted_orders
-- How many orders were asked for through this database's outbox: submitted, or to be paid for.
SELECT count(DISTINCT key)::int FROM outbox.events
WHERE type IN ('tidegate.oms.orders.OrderSubmitted', 'tidegate.oms.checkouts.CheckoutRequested')
