-- What do customers spend per order in each region and kind of store, and on what first?
WITH lines AS (
  SELECT s.region, s.cluster, p.category, l.order_number, l.amount
  FROM order_lines l
  JOIN orders o ON o.order_number = l.order_number
  JOIN stores s ON s.store_code = o.store_code
  LEFT JOIN products p ON p.product_code = l.product_code
), places AS (
  SELECT region, cluster, sum(amount) AS revenue, count(DISTINCT order_number) AS orders
  FROM lines GROUP BY 1, 2
), categories AS (
  SELECT region, cluster, category, sum(amount) AS revenue,
         row_number() OVER (PARTITION BY region, cluster ORDER BY sum(amount) DESC, category) AS place
  FROM lines GROUP BY 1, 2, 3
)
SELECT coalesce(a.region, '?') || ' · ' || coalesce(a.cluster, '?')       AS "region and kind of store",
       a.orders                                                          AS "orders",
       round(a.revenue)                                                  AS "revenue",
       round(a.revenue * 1.0 / nullif(a.orders, 0))                      AS "revenue per order",
       coalesce(c.category, '?')                                         AS "first category",
       round(100.0 * c.revenue / nullif(a.revenue, 0), 1)                AS "its share, %"
FROM places a
JOIN categories c ON c.region IS a.region AND c.cluster IS a.cluster AND c.place = 1
ORDER BY 4 DESC
LIMIT 16
