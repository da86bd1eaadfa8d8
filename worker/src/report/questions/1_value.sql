-- How much of the revenue comes from customers of each combination of channels,
-- and how many of them are among the best tenth of all customers?
WITH ranked AS (
  SELECT channels, channel_count, monetary, order_count,
         ntile(10) OVER (ORDER BY monetary DESC, customer_id) AS tenth
  FROM customer_features
  WHERE order_count > 0
)
SELECT replace(replace(channels, ',', '+'), '+', ' + ') AS "channels",
       count(*)                                       AS "customers",
       sum(tenth = 1)                                 AS "in the best tenth",
       round(sum(monetary))                           AS "revenue",
       round(sum(monetary) * 1.0 / count(*))          AS "revenue per customer",
       round(sum(order_count) * 1.0 / count(*), 1)    AS "orders per customer"
FROM ranked
GROUP BY channels
ORDER BY 5 DESC
LIMIT 12
