-- name: order_differences
-- Every fact of an order that the read model tells otherwise than OMS's own tables. Times compare to the microsecond,
-- amounts to the cent; the net amount is computed here again, from the lines, half-even: PostgreSQL's round() on
-- numeric rounds half away from zero, so a half cent goes to the even side by hand.
WITH line_amounts AS (
    SELECT order_id,
           quantity * unit_price AS gross,
           quantity * unit_price * (1 - discount) * 100 AS exact_cents
    FROM oms.order_lines
),
worth AS (
    SELECT order_id,
           sum(gross) AS gross,
           sum(CASE
                   WHEN abs(exact_cents - trunc(exact_cents)) = 0.5
                       THEN trunc(exact_cents) + mod(trunc(exact_cents), 2)
                   ELSE round(exact_cents)
               END) / 100 AS net
    FROM line_amounts
    GROUP BY order_id
),
told_by_oms AS (
    SELECT orders.order_id, orders.request_id, orders.customer_id, orders.currency, orders.state,
           worth.gross, worth.net, orders.ordered_at, orders.created_at, orders.reserved_at, orders.confirmed_at,
           orders.shipped_at, orders.delivered_at,
           CASE WHEN orders.state = 'FAILED' THEN orders.closed_at END AS failed_at,
           CASE WHEN orders.state = 'CANCELLED' THEN orders.closed_at END AS cancelled_at,
           orders.failure_code
    FROM oms.orders
    LEFT JOIN worth USING (order_id)
),
told_by_analytics AS (
    SELECT *
    FROM analytics.order_facts
    WHERE state NOT IN ('SUBMITTED', 'REJECTED') OR order_id IN (SELECT order_id FROM oms.orders)
)
SELECT coalesce(oms.order_id, facts.order_id) AS subject, fact.name, fact.oms, fact.analytics
FROM told_by_oms AS oms
FULL JOIN told_by_analytics AS facts ON facts.order_id = oms.order_id
CROSS JOIN LATERAL (
    VALUES
        ('order', oms.order_id, facts.order_id),
        ('request_id', oms.request_id, facts.request_id),
        ('customer_id', oms.customer_id, facts.customer_id),
        ('currency', oms.currency, facts.currency),
        ('state', oms.state, facts.state),
        ('gross', oms.gross::numeric(30, 2)::text, facts.gross::text),
        ('net', oms.net::numeric(30, 2)::text, facts.net::text),
        ('ordered_at', oms.ordered_at::text, facts.ordered_at::text),
        ('created_at', oms.created_at::text, facts.created_at::text),
        ('reserved_at', oms.reserved_at::text, facts.reserved_at::text),
        ('confirmed_at', oms.confirmed_at::text, facts.confirmed_at::text),
        ('shipped_at', oms.shipped_at::text, facts.shipped_at::text),
        ('delivered_at', oms.delivered_at::text, facts.delivered_at::text),
        ('failed_at', oms.failed_at::text, facts.failed_at::text),
        ('failure_code', oms.failure_code, facts.failure_code),
        ('cancelled_at', oms.cancelled_at::text, facts.cancelled_at::text)
) AS fact (name, oms, analytics)
WHERE fact.oms IS DISTINCT FROM fact.analytics
ORDER BY subject, fact.name

-- name: rejection_differences
-- Submissions that only one side knows as rejected.
SELECT coalesce(oms.order_id, facts.order_id) AS subject,
       'rejected' AS name,
       (oms.order_id IS NOT NULL)::text AS oms,
       (facts.order_id IS NOT NULL)::text AS analytics
FROM (SELECT order_id FROM oms.submissions WHERE cardinality(reasons) > 0) AS oms
FULL JOIN (SELECT order_id FROM analytics.order_facts WHERE rejected_at IS NOT NULL) AS facts
    ON facts.order_id = oms.order_id
WHERE oms.order_id IS NULL OR facts.order_id IS NULL
ORDER BY subject

-- name: revenue_differences
-- Revenue of a UTC day and a currency: OMS's orders shipped on it, beside the read model's row.
WITH told_by_oms AS (
    SELECT (orders.shipped_at AT TIME ZONE 'UTC')::date AS day,
           orders.currency,
           count(DISTINCT orders.order_id) AS orders,
           sum(lines.quantity * lines.unit_price)::numeric(34, 2) AS gross,
           sum(lines.net)::numeric(34, 2) AS net
    FROM oms.orders
    JOIN oms.order_lines AS lines USING (order_id)
    WHERE orders.shipped_at IS NOT NULL
    GROUP BY 1, 2
),
told_by_analytics AS (
    SELECT * FROM analytics.revenue_by_day WHERE orders <> 0
)
SELECT concat_ws(' ', coalesce(oms.day, facts.day), coalesce(oms.currency, facts.currency)) AS subject,
       'revenue' AS name,
       concat_ws(' / ', oms.orders, oms.gross, oms.net) AS oms,
       concat_ws(' / ', facts.orders, facts.gross, facts.net) AS analytics
FROM told_by_oms AS oms
FULL JOIN told_by_analytics AS facts ON facts.day = oms.day AND facts.currency = oms.currency
WHERE (oms.orders, oms.gross, oms.net) IS DISTINCT FROM (facts.orders, facts.gross, facts.net)
ORDER BY subject

-- name: payment_differences
-- What each order has paid and got back: the payments' own tables, beside the read model's bookings.
SELECT coalesce(paid.order_id, told.order_id) AS subject, fact.name, fact.oms, fact.analytics
FROM (SELECT * FROM payments.payments WHERE captured > 0) AS paid
FULL JOIN analytics.order_payments AS told ON told.order_id = paid.order_id AND told.currency = paid.currency
CROSS JOIN LATERAL (
    VALUES
        ('captured', paid.captured::numeric(30, 2)::text, told.captured::numeric(30, 2)::text),
        ('refunded', paid.refunded::numeric(30, 2)::text, told.refunded::numeric(30, 2)::text)
) AS fact (name, oms, analytics)
WHERE fact.oms IS DISTINCT FROM fact.analytics
ORDER BY subject, fact.name
