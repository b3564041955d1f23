-- Each query finds candidates of one partial state: its subject, since when it is so, and the facts that the rule
-- of the kind looks at. What is younger than :grace is left out; subjects come in their order, after :after, at
-- most :batch of them; :only asks for one again. Whether a candidate is stuck, only Temporal can say: most are in
-- the hands of a workflow.

-- name: order_without_workflow
-- Orders that are neither shipped nor at an end.
SELECT o.order_id AS subject,
       greatest(o.created_at, o.reserved_at, o.confirmed_at) AS since,
       jsonb_build_object('flow', o.flow, 'state', o.state, 'request_id', o.request_id,
                          'checkout_id', c.checkout_id, 'checkout_state', c.state) AS facts
FROM oms.orders AS o
LEFT JOIN checkouts.checkouts AS c ON c.order_id = o.order_id AND c.holds_order
WHERE o.state IN ('CREATED', 'RESERVED', 'CONFIRMED')
  AND greatest(o.created_at, o.reserved_at, o.confirmed_at) < now() - CAST(:grace AS interval)
  AND o.order_id > :after AND o.order_id = coalesce(:only, o.order_id)
ORDER BY o.order_id
LIMIT :batch

-- name: reservation_without_order
-- Stock put aside, or waited for, for an order that OMS does not hold or that has failed or was cancelled.
SELECT r.order_id AS subject,
       greatest(r.changed_at, o.closed_at) AS since,
       jsonb_build_object('flow', r.flow, 'state', r.state, 'order_state', o.state) AS facts
FROM ims.reservations AS r
LEFT JOIN oms.orders AS o USING (order_id)
WHERE r.state IN ('WAITING', 'RESERVED', 'CONSUMED')
  AND (o.order_id IS NULL OR o.state IN ('FAILED', 'CANCELLED'))
  AND greatest(r.changed_at, o.closed_at) < now() - CAST(:grace AS interval)
  AND r.order_id > :after AND r.order_id = coalesce(:only, r.order_id)
ORDER BY r.order_id
LIMIT :batch

-- name: shipment_without_label
-- Shipments that were opened and have no label.
SELECT s.order_id AS subject,
       greatest(s.created_at, o.closed_at) AS since,
       jsonb_build_object('flow', s.flow, 'order_state', o.state,
                          'age_seconds', extract(epoch FROM now() - s.created_at)::bigint) AS facts
FROM sms.shipments AS s
LEFT JOIN oms.orders AS o USING (order_id)
WHERE s.state = 'CREATED'
  AND greatest(s.created_at, o.closed_at) < now() - CAST(:grace AS interval)
  AND s.order_id > :after AND s.order_id = coalesce(:only, s.order_id)
ORDER BY s.order_id
LIMIT :batch

-- name: authorization_open
-- Payments that are held, or may be: the provider was asked and the answer never came.
SELECT p.order_id AS subject,
       greatest(p.requested_at, p.authorized_at, o.closed_at, c.closed_at) AS since,
       jsonb_build_object('flow', 'paid', 'state', p.state, 'order_state', o.state,
                          'checkout_id', c.checkout_id, 'checkout_state', c.state) AS facts
FROM payments.payments AS p
LEFT JOIN oms.orders AS o USING (order_id)
LEFT JOIN checkouts.checkouts AS c ON c.order_id = p.order_id AND c.holds_order
WHERE p.state IN ('NEW', 'AUTHORIZED')
  AND greatest(p.requested_at, p.authorized_at, o.closed_at, c.closed_at) < now() - CAST(:grace AS interval)
  AND p.order_id > :after AND p.order_id = coalesce(:only, p.order_id)
ORDER BY p.order_id
LIMIT :batch

-- name: parked_past_half
-- Workflows that an event waits for which has used up half of its time.
SELECT p.workflow_id AS subject,
       min(p.parked_at + (p.deadline - p.parked_at) / 2) AS since,
       jsonb_build_object('events', count(*), 'event_type', min(p.event_type), 'deadline', min(p.deadline)) AS facts
FROM bridge.parked AS p
WHERE now() - CAST(:grace AS interval) > p.parked_at + (p.deadline - p.parked_at) / 2
  AND p.workflow_id > :after AND p.workflow_id = coalesce(:only, p.workflow_id)
GROUP BY p.workflow_id
ORDER BY p.workflow_id
LIMIT :batch

-- name: event_not_taken
-- Paid orders between two steps of which the first has said that it is done: stock reserved and the payment not
-- begun; paid and no pick wave; delivered, as the bridge's ledger knows, and not in OMS.
SELECT subject, since, facts
FROM (
    SELECT o.order_id AS subject, o.reserved_at AS since,
           jsonb_build_object('flow', o.flow, 'awaits', 'OrderReserved') AS facts
    FROM oms.orders AS o
    JOIN payments.payments AS p USING (order_id)
    WHERE o.flow = 'paid' AND o.state = 'RESERVED' AND p.state = 'AUTHORIZED'
    UNION ALL
    SELECT o.order_id, p.captured_at,
           jsonb_build_object('flow', o.flow, 'awaits', 'PaymentCaptured')
    FROM oms.orders AS o
    JOIN payments.payments AS p USING (order_id)
    WHERE o.flow = 'paid' AND o.state IN ('RESERVED', 'CONFIRMED') AND p.state = 'CAPTURED'
      AND NOT EXISTS (SELECT FROM wms.waves AS w WHERE w.order_id = o.order_id)
    UNION ALL
    SELECT o.order_id, l.at,
           jsonb_build_object('flow', o.flow, 'awaits', 'ShipmentDelivered')
    FROM oms.orders AS o
    JOIN LATERAL (
        SELECT min(e.at) AS at FROM bridge.ledger AS e
        WHERE e.workflow_id = 'order-' || o.order_id AND e.event_type = 'tidegate.sms.shipments.ShipmentDelivered'
    ) AS l ON l.at IS NOT NULL
    WHERE o.flow = 'paid' AND o.state = 'SHIPPED'
) AS waiting
WHERE since < now() - CAST(:grace AS interval)
  AND subject > :after AND subject = coalesce(:only, subject)
ORDER BY subject
LIMIT :batch

-- name: replenishment_without_workflow
-- Lots that were ordered and have not come.
SELECT r.sku || '/' || r.cycle AS subject,
       r.decided_at AS since,
       jsonb_build_object('sku', r.sku, 'cycle', r.cycle) AS facts
FROM ims.replenishments AS r
WHERE r.state = 'ORDERED'
  AND r.decided_at < now() - CAST(:grace AS interval)
  AND r.sku || '/' || r.cycle > :after AND r.sku || '/' || r.cycle = coalesce(:only, r.sku || '/' || r.cycle)
ORDER BY r.sku || '/' || r.cycle
LIMIT :batch

-- name: stored_event
-- The event of one type about a key that this database has published, the newest. Asked for one stuck entity at a
-- time: the outbox has no index by key. Its day is looked through, and only below what every relay has published.
SELECT event_id, type, topic, key, source, time, value, extensions
FROM outbox.events
WHERE type = :type AND key = :key AND created_at >= CAST(:since AS timestamptz) - interval '1 hour'
  AND xid < outbox.published_below()
ORDER BY id DESC
LIMIT 1

-- name: deliveries
-- Where the records are that a workflow was told of, by signal, in the order in which it was.
SELECT event_id, topic, partition, "offset"
FROM (
    SELECT DISTINCT ON (event_id, route) id, event_id, topic, partition, "offset"
    FROM bridge.ledger
    WHERE workflow_id = :workflow_id AND split_part(route, ':', 2) = 'signal' AND outcome IN ('delivered', 'late')
    ORDER BY event_id, route, id
) AS first_of_each
ORDER BY id
LIMIT 1000

-- name: newest_event
-- The number of the newest row of the outbox; 0 before there is one.
SELECT coalesce((SELECT id FROM outbox.events ORDER BY id DESC LIMIT 1), 0)
